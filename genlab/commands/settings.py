"""Values of a run's own config that a command line changes: `genlab sample run=RUN model.sample_steps=10`.

Sampling and evaluation take the run's weights, and so its nets; what can be changed for them is how these are used: the
sampler, its steps, the guidance. The config in the run folder stays as it is.
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
    """What follows `model` in a command's config, as dotted keys: {"model.sample_steps": 10}."""
    return dict(flatten({"model": OmegaConf.to_container(asked, resolve=True)}))


def places(config: DictConfig) -> dict[str, Any]:
    """Where a run's data files are now, as the command says: {"data.path": ...}. They are checked on reading."""
    given = config.get("data")
    if given is None or "_target_" in given:
        return {}
    return {f"data.{key}": os.path.abspath(os.path.expanduser(str(value))) for key, value in given.items()}


def refuse_other_parts(run: Run, config: DictConfig, values: dict[str, Any]) -> None:
    """Refuse another autoencoder for a run that has its own copy of the one that it was trained with.

    Raises:
        UserError: there is one among the values.
    """
    for key, value in values.items():
        group, _, name = key.partition(".")
        if group == "model" and name and run.part(name).is_file() and value != config.model.get(name):
            raise UserError(f"{key}: a trained run keeps its own copy of it; start a new run to change it")


def apply(config: DictConfig, values: dict[str, Any]) -> DictConfig:
    """Change values of a run's config, in place; returns it.

    Raises:
        UserError: a key that the config does not have.
    """
    for key, value in values.items():
        try:
            # An option that an older config does not have is checked when the trainer or the model is made.
            new = key.startswith("trainer.") or (key.startswith("model.") and key.count(".") == 1)
            OmegaConf.update(config, key, value, force_add=new)
        except OmegaConfBaseException as error:
            raise UserError(unknown_option(key, config)) from error
    return config
