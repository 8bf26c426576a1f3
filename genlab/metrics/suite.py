"""Which measures fit: from samples and what is known of the data to named numbers."""

from torch import Tensor

from genlab.metrics.modes import mode_coverage
from genlab.metrics.wasserstein import sliced_w2


def quick(fake: Tensor, real: Tensor, modes: Tensor | None = None, sigma: float = 1.0) -> dict[str, float]:
    """The measures cheap enough for the training loop.

    Args:
        fake, real: (N, *shape) samples in data units.
        modes, sigma: of the mixture that the real points come from, where it is known: (K, 2) and its σ.
    """
    values = {"eval/sliced_w2": sliced_w2(fake, real)}
    if modes is not None:
        coverage = mode_coverage(fake, modes, sigma)
        values |= {
            "eval/modes": float(coverage.covered),
            "eval/high_quality": coverage.high_quality,
            "eval/reverse_kl": coverage.reverse_kl,
            "eval/std_ratio_min": coverage.std_ratio.min().item(),
            "eval/std_ratio_max": coverage.std_ratio.max().item(),
        }
    return values
