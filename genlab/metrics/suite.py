"""Which measures fit: from samples and what is known of the data to named numbers."""

from torch import Tensor

from genlab.metrics.modes import mode_measures
from genlab.metrics.spread import spread
from genlab.metrics.wasserstein import sliced_w2


def quick(fake: Tensor, real: Tensor, modes: Tensor | None = None, sigma: float = 1.0) -> dict[str, float]:
    """The measures cheap enough for the training loop.

    Args:
        fake, real: (N, *shape) samples in data units.
        modes, sigma: of the mixture that the real points come from, where it is known: (K, 2) and its σ.
    """
    values = {"sliced_w2": sliced_w2(fake, real), "spread": spread(fake, real)}
    if modes is not None:
        values |= mode_measures(fake, modes, sigma)
    return {f"eval/{name}": value for name, value in values.items()}
