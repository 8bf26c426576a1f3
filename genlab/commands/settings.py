"""Settings of a trained model that a command changes for itself: `genlab sample run=RUN model.sample_steps=10`.

The weights are the run's and so must be the nets; what can be changed is how they are used: the sampler, its steps, the
guidance. The run's own config stays as it is.
"""

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genlab.errors import UserError
from genlab.explain import unknown_option
from genlab.history import flatten


def changes(asked: DictConfig) -> dict[str, Any]:
    """What follows `model` in a command's config, as dotted keys: {"model.sample_steps": 10}."""
    return dict(flatten({"model": OmegaConf.to_container(asked, resolve=True)}))


def apply(config: DictConfig, values: dict[str, Any]) -> DictConfig:
    """Change values of a run's config, in place; returns it.

    Raises:
        UserError: a key that the run's model does not have.
    """
    for key, value in values.items():
        try:
            OmegaConf.update(config, key, value)
        except OmegaConfBaseException as error:
            raise UserError(unknown_option(key, config)) from error
    return config
