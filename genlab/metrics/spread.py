"""How widely samples are spread beside real ones: the plainest sign of a generator that has collapsed.

    spread = √(tr Cov(fake) / tr Cov(real))

1 for a perfect sampler, 0 for one that draws the same sample again and again, whatever the data are. It needs neither
labels nor features, and tells only of the total variance: blurred samples are below 1, noise may be above.
"""

from torch import Tensor


def spread(fake: Tensor, real: Tensor) -> float:
    """The total standard deviation of fake (N, *shape) over that of real (M, *shape) samples.

    Raises:
        ValueError: fewer than two samples on one side.
    """
    if min(len(fake), len(real)) < 2:
        raise ValueError("a variance needs two samples at least on each side")
    variances = [x.flatten(1).double().var(dim=0).sum() for x in (fake, real)]
    return (variances[0] / variances[1]).sqrt().item()
