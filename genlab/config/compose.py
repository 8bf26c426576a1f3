"""Composes the config of a verb from the words of a command line, without running anything.

`genlab train model=vae` and `compose("train", ["model=vae"])` read the same files with the same grammar, so they give
the same config.
"""

from collections.abc import Sequence

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from genlab import configs
from genlab.config import names, sources  # noqa: F401 (names: resolvers that the configs use)
from genlab.config.arguments import prepared


def compose(verb: str, words: Sequence[str] = (), with_hydra: bool = False) -> DictConfig:
    """Returns the config of a verb, changed by the words after it; references to `${hydra:...}` stay unresolved.

    Args:
        verb: train, sample, evaluate or prepare, which have a config, or the name of another config in Hydra's store.
        with_hydra: keep the `hydra` section, with Hydra's own settings.

    Raises:
        UserError: the verb rejects a word, or a config file is damaged.
        HydraException: Hydra rejects a word; `explain` turns the error into one line.
    """
    sources.register()
    GlobalHydra.instance().clear()  # inside a job, Hydra is already initialised
    with hydra.initialize_config_dir(str(configs()), version_base="1.3"):
        return hydra.compose(verb, prepared(verb, words), return_hydra_config=with_hydra)
