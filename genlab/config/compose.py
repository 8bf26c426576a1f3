"""Composes the config of a verb from the words of a command line, without running anything.

`genlab train model=vae` and `compose("train", ["model=vae"])` read the same files by the same grammar, and so give the
same config.
"""

from collections.abc import Sequence

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from genlab import configs
from genlab.config import names, sources  # noqa: F401 (names: resolvers that the configs use)
from genlab.config.arguments import prepared


def compose(verb: str, words: Sequence[str] = (), with_hydra: bool = False) -> DictConfig:
    """The config of a verb as the words after it change it; what refers to `${hydra:...}` stays unresolved.

    Args:
        verb: one that has a config: train, sample, evaluate, prepare; or the name of another config in Hydra's store.
        with_hydra: keep the `hydra` section, with Hydra's own settings.

    Raises:
        UserError: a word that this verb refuses, or a damaged config file.
        HydraException: a word that Hydra refuses; `explain` makes a line of it.
    """
    sources.register()
    GlobalHydra.instance().clear()  # inside of a job Hydra is in use already
    with hydra.initialize_config_dir(str(configs()), version_base="1.3"):
        return hydra.compose(verb, prepared(verb, words), return_hydra_config=with_hydra)
