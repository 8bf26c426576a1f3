"""Reads the config stored in a run folder, and checks it first, because it may come from someone else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from genlab.errors import UserError, brief

LARGEST = 2**15  # characters; a long config has 3000
DEEPEST = 32  # levels of nested tables and lists; a deep config has 5
# Data sets that record the version of their reading rules; a run that records none is from version 1.
VERSIONED = ("genlab.data.array.Array", "genlab.data.folder.Folder")


def parse(text: str, source: Path) -> DictConfig:
    """Parses the config of a run, closed to new keys; `source` is its file, for messages.

    Raises:
        UserError: it is not a run's config, or it contains what genlab never writes: an interpolation such as
            `${oc.env:SECRET}`, or a YAML alias, with which a small file can fill the memory.
    """
    try:
        _check_yaml(text)
        config = OmegaConf.create(text)
    except Exception as error:  # YAML errors come from two libraries
        raise UserError(f"damaged {source}: {brief(error)}") from error
    if not isinstance(config, DictConfig) or not {"model", "data", "trainer", "optimizer", "seed"} <= set(config):
        raise UserError(f"{source} is not the config of a run: model, data, trainer, optimizer or seed is missing")
    if any("${" in text for text in _strings(OmegaConf.to_container(config))):
        raise UserError(f"{source}: contains ${{...}}, but the config of a run has all values resolved")
    if foreign := {"hydra", "defaults"} & set(config):
        raise UserError(f"{source}: has a {min(foreign)} section, which the config of a run never has")
    for key in ("model", "data", "trainer", "optimizer"):
        if not isinstance(config[key], DictConfig):
            raise UserError(f"{source}: {key} must be a table of keys and values")
    if config.data.get("_target_") in VERSIONED and "version" not in config.data:
        config.data.version = 1
    OmegaConf.set_struct(config, True)
    return config


def _check_yaml(text: str) -> None:
    """Refuse YAML that could take very long to read.

    Raises:
        ValueError, YAMLError: too large, too deep, with aliases, or not YAML.
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
