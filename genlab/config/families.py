"""Which family of models has which keys, as the configs in configs/model say. Imports no torch."""

from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genlab import configs

ABSENT = object()


def misplaced(key: str, built: object) -> str:
    """Say which families take a key that the family at hand does not have; "" where no family takes it.

    Args:
        key: dotted, `model.conditional` or `optimizer.critic.lr`.
        built: the `_target_` of the model at hand, or the class itself.
    """
    if not key.startswith(("model.", "optimizer.")):
        return ""
    name = built if isinstance(built, str) else f"{built.__module__}.{getattr(built, '__qualname__', '')}"
    here = [family for family, config in _families().items() if OmegaConf.select(config, "model._target_") == name]
    with_it = [family for family, config in _families().items() if _has(config, key)]
    if not here or not with_it or set(here) & set(with_it):
        return ""
    return f"{key} does not belong to {' or '.join(here)}; families with it: {', '.join(with_it)}"


def class_of(family: str) -> str | None:
    """The class that a family's config builds the model of, by its dotted name; None where there is no such family."""
    return OmegaConf.select(_families()[family], "model._target_") if family in _families() else None


def _has(config: DictConfig, key: str) -> bool:
    return OmegaConf.select(config, key, default=ABSENT) is not ABSENT


@cache
def _families() -> dict[str, Any]:
    paths = sorted((configs() / "model").glob("*.yaml"))
    return {path.stem: OmegaConf.load(path) for path in paths}
