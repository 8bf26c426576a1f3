"""Looks up which model family has which keys, from the configs in configs/model. Does not import torch."""

from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genlab import configs

ABSENT = object()


def misplaced(key: str, built: object) -> str:
    """Returns a message that says which families take a key that the given family lacks; "" if no family takes it.

    Args:
        key: dotted, `model.conditional` or `optimizer.critic.lr`.
        built: the `_target_` of the given model, or the class itself.
    """
    if not key.startswith(("model.", "optimizer.")):
        return ""
    name = built if isinstance(built, str) else f"{built.__module__}.{getattr(built, '__qualname__', '')}"
    given = [family for family, config in _families().items() if OmegaConf.select(config, "model._target_") == name]
    with_it = [family for family, config in _families().items() if _has(config, key)]
    if not given or not with_it or set(given) & set(with_it):
        return ""
    return f"{key} does not belong to {' or '.join(given)}; families with it: {', '.join(with_it)}"


def class_of(family: str) -> str | None:
    """Returns the dotted name of the class that a family's config builds; None if there is no such family."""
    return OmegaConf.select(_families()[family], "model._target_") if family in _families() else None


def _has(config: DictConfig, key: str) -> bool:
    return OmegaConf.select(config, key, default=ABSENT) is not ABSENT


@cache
def _families() -> dict[str, Any]:
    paths = sorted((configs() / "model").glob("*.yaml"))
    return {path.stem: OmegaConf.load(path) for path in paths}
