"""Overrides of a run's own config on the command line: `genlab sample run=RUN model.sample_steps=10`.

Sampling and evaluation use the run's weights, and therefore its nets; only the way of using them can be changed: the
sampler, its steps, the guidance. The config in the run folder does not change.
"""

import os
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genlab.config.explain import unknown_option
from genlab.errors import UserError
from genlab.runs.folder import Run
from genlab.runs.history import flatten


def changes(asked: DictConfig) -> dict[str, Any]:
    """Returns the `model` section of a command's config with dotted keys: {"model.sample_steps": 10}."""
    return dict(flatten({"model": OmegaConf.to_container(asked, resolve=True)}))


def places(config: DictConfig) -> dict[str, Any]:
    """Returns the new places of a run's data files from a command's config: {"data.path": ...}. Reading checks them."""
    given = config.get("data")
    if given is None or "_target_" in given:
        return {}
    return {f"data.{key}": os.path.abspath(os.path.expanduser(str(value))) for key, value in given.items()}


def refuse_other_parts(run: Run, config: DictConfig, values: dict[str, Any]) -> None:
    """Refuse another autoencoder for a run that has a copy of the one it was trained with.

    Raises:
        UserError: one of the values changes it.
    """
    for key, value in values.items():
        group, _, name = key.partition(".")
        if group == "model" and name and run.part(name).is_file() and value != config.model.get(name):
            raise UserError(f"{key}: a trained run keeps its own copy of it; start a new run to change it")


def apply(config: DictConfig, values: dict[str, Any]) -> DictConfig:
    """Change values of a run's config in place; returns the config.

    Raises:
        UserError: a key that the config does not have.
    """
    for key, value in values.items():
        try:
            # An option that an older config lacks is added; it is checked when the trainer or the model is made.
            new = key.startswith("trainer.") or (key.startswith("model.") and key.count(".") == 1)
            OmegaConf.update(config, key, value, force_add=new)
        except OmegaConfBaseException as error:
            raise UserError(unknown_option(key, config)) from error
    return config
