"""How widely samples are spread compared with real ones: the simplest sign of a collapsed generator.

    spread = √(tr Cov(fake) / tr Cov(real))

It is 1 for a perfect sampler and 0 for one that always draws the same sample, whatever the data are. It needs neither
labels nor features, and measures only the total variance: blurred samples are below 1, noise may be above.
"""

from torch import Tensor


def spread(fake: Tensor, real: Tensor) -> float:
    """Returns the total standard deviation of fake (N, *shape) divided by that of real (M, *shape) samples.

    Raises:
        ValueError: fewer than two samples on one side.
    """
    if min(len(fake), len(real)) < 2:
        raise ValueError("a variance needs at least two samples on each side")
    variances = [x.flatten(1).double().var(dim=0).sum() for x in (fake, real)]
    return (variances[0] / variances[1]).sqrt().item()
