"""Which measures fit: from samples and what is known of the data to named numbers."""

from collections.abc import Callable

from torch import Tensor

from genlab.metrics.attempts import Reasons, attempt_all
from genlab.metrics.modes import mode_measures
from genlab.metrics.spread import spread
from genlab.metrics.wasserstein import sliced_w2


def quick(
    fake: Tensor, real: Tensor, modes: Tensor | None = None, sigma: float = 1.0, reasons: Reasons | None = None
) -> dict[str, float]:
    """The measures cheap enough for the training loop.

    Args:
        fake, real: (N, *shape) samples in data units.
        modes, sigma: of the mixture that the real points come from, where it is known: (K, 2) and its σ.
        reasons: takes in, by name, why a measure cannot be had, and the others go on; None raises.
    """
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "eval/sliced_w2": lambda: {"eval/sliced_w2": sliced_w2(fake, real)},
        "eval/spread": lambda: {"eval/spread": spread(fake, real)},
    }
    if modes is not None:
        parts["eval/modes"] = lambda: {f"eval/{k}": v for k, v in mode_measures(fake, modes, sigma).items()}
    return attempt_all(parts, reasons)
