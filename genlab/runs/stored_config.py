"""The config that a run has stored, read back: checked before it is believed, for it may come from someone else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from genlab.errors import UserError, brief

LARGEST = 2**15  # characters of a config; a long one has 3000
DEEPEST = 32  # tables and lists within one another; a deep one has 5
# Data sets that name the version of their rules of reading; where a run names none, it is older than the second one.
VERSIONED = ("genlab.data.array.Array", "genlab.data.folder.Folder")


def parse(text: str, source: Path) -> DictConfig:
    """The config of a run from its text, closed to new keys; `source` is where it stands.

    Raises:
        UserError: it is none, or it holds what genlab never writes: an interpolation such as `${oc.env:SECRET}`, or a
            YAML alias, by which a small file can fill the memory.
    """
    try:
        _check_yaml(text)
        config = OmegaConf.create(text)
    except Exception as error:  # YAML errors come from two libraries
        raise UserError(f"damaged {source}: {brief(error)}") from error
    if not isinstance(config, DictConfig) or not {"model", "data", "trainer", "optimizer", "seed"} <= set(config):
        raise UserError(f"{source} is no config of a run: model, data, trainer, optimizer or seed is missing")
    if any("${" in each for each in _strings(OmegaConf.to_container(config))):
        raise UserError(f"{source}: holds ${{...}}; the config of a run is written with all values resolved")
    if foreign := {"hydra", "defaults"} & set(config):
        raise UserError(f"{source}: has a {min(foreign)} section, which the config of a run never has")
    for key in ("model", "data", "trainer", "optimizer"):
        if not isinstance(config[key], DictConfig):
            raise UserError(f"{source}: {key} is no table of keys and values")
    if config.data.get("_target_") in VERSIONED and "version" not in config.data:
        config.data.version = 1
    OmegaConf.set_struct(config, True)
    return config


def _check_yaml(text: str) -> None:
    """Refuse what would take long to read.

    Raises:
        ValueError, YAMLError: too large, too deep, with aliases, or no YAML.
    """
    if len(text) > LARGEST:
        raise ValueError("too large")
    depth = 0
    for event in yaml.parse(text):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
            raise ValueError("too deep" if depth > DEEPEST else "aliases")


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)
    elif isinstance(node, str):
        yield node
