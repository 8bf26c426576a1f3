"""Reads config files for Hydra: UTF-8 with or without a byte-order mark, and one-line errors for damaged files.

Hydra's own reader treats a byte-order mark as part of the first line, which may be `# @package`.
"""

import io
import os

from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from genlab.errors import UserError, brief


def register() -> None:
    """Makes this Hydra's reader of config files."""
    Plugins.instance()  # registers Hydra's own reader first, once
    SourcesRegistry.instance().types["file"] = FileConfigSource


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's source of config files, with a stricter reader.

    Raises:
        UserError: the file is not UTF-8 text, not YAML, or not a table of keys and values.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        path = os.path.realpath(os.path.join(self.path, self._normalize_file_name(config_path)))
        if not os.path.isfile(path):
            return super().load_config(config_path)
        try:
            with open(path, encoding="utf-8-sig") as file:
                text = file.read()
            config, header = OmegaConf.load(io.StringIO(text)), ConfigSource._get_header_dict(text)
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not UTF-8 text: {brief(error)}; save it as UTF-8") from error
        except (YAMLError, ValueError, OSError) as error:
            raise UserError(f"{path} cannot be read as a config: {brief(error)}") from error
        if not isinstance(config, DictConfig):
            raise UserError(f"{path} is a list; a config is a table of keys and values")
        return ConfigResult(config=config, path=f"{self.scheme()}://{self.path}", provider=self.provider, header=header)
