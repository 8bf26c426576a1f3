"""Turns what Hydra raises about a command line into one line: what was wrong, what is allowed, the nearest word.

Runs only after a failure, so it may compose the config a second time.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig, OmegaConf

from genlab.errors import UserError, brief, did_you_mean


def explain(error: Exception, configs: Path, config_name: str, overrides: list[str]) -> UserError:
    """The error as a `UserError` with a one-line message."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, word = (error.missing_cfg_file or "").rpartition("/")
        options = [option for option in error.options if group != "tuned"]
        return UserError(f"{group}: '{word}' is none of {', '.join(options)}{did_you_mean(word, options)}")
    if match := re.search(r"Could not override '([^']+)'", text):
        key = match[1]
        return UserError(unknown_option(key, defaults(configs, config_name, overrides)))
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return UserError(f"'{match[1]}' names several values: add -m for a sweep, or write key=[a,b] for a list")
    if isinstance(error, OSError) and not isinstance(error, ConfigCompositionException):
        return UserError(f"cannot write {error.filename or 'the run folder'}: {error.strerror or brief(error)}")
    if match := re.search(r"Missing mandatory value: (\S+)", text):
        return UserError(f"'{match[1]}' needs a value: add {match[1]}=...")
    return UserError(" ".join(line.strip() for line in text.splitlines() if "See https" not in line))


def unknown_option(key: str, config: DictConfig) -> str:
    """What to say of a key that the config does not have: the nearest one, and its siblings."""
    parent, _, word = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if not isinstance(node, DictConfig):
        return f"unknown option '{key}'{did_you_mean(key, leaves(config))}"
    siblings = [str(name) for name in node if not str(name).startswith("_")]
    near = did_you_mean(word, siblings) or did_you_mean(key, leaves(config))
    # A key that is right in itself but stands one level too high: steps=10 for trainer.steps=10.
    deeper = [leaf for leaf in leaves(config) if leaf.split(".")[-1] == word]
    near = f"; did you mean '{deeper[0]}'?" if deeper and not near else near
    return f"unknown option '{key}'{near}; allowed{f' in {parent}' if parent else ''}: {', '.join(siblings)}"


def leaves(config: DictConfig, prefix: str = "") -> Iterable[str]:
    """All dotted keys of a config that hold values."""
    for name in config:
        node = config._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none():
            yield from leaves(node, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def defaults(configs: Path, config_name: str, overrides: list[str]) -> DictConfig:
    """The config with the groups chosen as on the command line, and no value changed."""
    groups = {folder.name for folder in configs.iterdir() if folder.is_dir()}
    chosen = [each.split(",")[0] for each in overrides if each.split("=")[0] in groups]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(configs), version_base="1.3"):
        try:
            return compose(config_name, chosen)
        except Exception:  # a second mistake in the choices: the defaults will do
            return compose(config_name)
