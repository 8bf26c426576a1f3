"""`genlab train --config-dir RUN`: uses the stored config of a run as the primary config of a new one.

A config from a run folder is read by `Run.read_config`, never by Hydra: a `hydra:` section can name loggers, callbacks
and launchers, and so run any code.
"""

from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from genlab import configs
from genlab.config import names
from genlab.errors import UserError
from genlab.runs.folder import Run

NAME = "rerun"  # name of the config in Hydra's store
_stored: list[Path] = []  # the run folder that the config came from


def flags() -> list[str]:
    """Returns the flags with which another process (a job of a sweep) finds the config that `store` stored."""
    return ["--config-dir", str(_stored[-1])]


def of_a_run(arguments: list[str]) -> tuple[Path, list[str]] | None:
    """Returns the run folder that --config-dir names and the other arguments; None if it names no run folder.

    A folder with a config.yaml counts as a run folder, unless --config-name names another file in it.
    """
    rest, values = [], {}
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in ("--config-dir", "-cd", "--config-name", "-cn"):
            values[flag.strip("-")[-4:]] = value if equals else next(words, "")
        else:
            rest.append(word)
    folder = Path(values.get("-dir", values.get("cd", "")))
    name = values.get("name", values.get("cn", "config"))
    if folder == Path() or name not in ("config", "config.yaml") or not (folder / "config.yaml").exists():
        return None
    return folder, rest


def store(folder: Path) -> str:
    """Stores the config of a run where Hydra finds it, with the Hydra settings of `train`; returns its name there.

    Raises:
        UserError: the folder has no run config, or the config would write outside outputs/.
    """
    config = Run.open(folder).read_config()
    name = str(config.get("name") or folder.name)
    try:
        names.below(name)
    except UserError as error:
        raise UserError(f"{folder / 'config.yaml'}: {error}") from error
    train = OmegaConf.load(configs() / "train.yaml")
    assert isinstance(train, DictConfig)
    own = [entry for entry in train.defaults if any(str(key).startswith("override hydra/") for key in _keys(entry))]
    OmegaConf.set_struct(config, False)
    for key, value in config.model.items():  # an autoencoder, say: use the run's own copy, wherever the original is
        if isinstance(value, str) and (copy := Run(folder.absolute()).part(str(key))).is_file():
            config.model[key] = str(copy)
    stored = {"defaults": ["_self_", *own], **config, "name": name, "resume": None, "hydra": train.hydra}
    ConfigStore.instance().store(NAME, OmegaConf.create(stored))
    _stored[:] = [folder.absolute()]
    return NAME


def _keys(entry: object) -> list:
    return list(entry) if isinstance(entry, DictConfig) else []
