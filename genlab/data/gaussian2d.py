"""Points in the plane: Gaussian mixtures with a known density, and the usual toy shapes, which have none.

The entropy of a mixture is a lower bound on the expected negative log-likelihood of any model on held-out points.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from genlab.data.base import Dataset, Split, digest, mix
from genlab.data.mixture import Mixture
from genlab.errors import choose, within


def _circle(k: int, radius: float) -> Tensor:
    angle = torch.arange(k) * (2 * math.pi / k)
    return radius * torch.stack([angle.cos(), angle.sin()], dim=1)


def mixture(kind: str) -> Mixture | None:
    """Returns the mixture of that name, or None for a kind without a closed-form density.

    `ring` and `grid` are the benchmarks of VEEGAN (Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs using
    Implicit Variational Learning", 2017, https://arxiv.org/abs/1705.07761) with σ = 0.01 and 0.05.
    """
    if kind == "two":
        return Mixture(torch.tensor([[2.0, 2.0], [-2.0, -2.0]]), 1.0)
    if kind == "two_narrow":
        return Mixture(torch.tensor([[2.0, 0.0], [-2.0, 0.0]]), 0.5)
    if kind == "ring":
        return Mixture(_circle(8, 1.0), 0.01)
    if kind == "grid":
        side = torch.arange(-4.0, 5.0, 2.0)
        return Mixture(torch.cartesian_prod(side, side), 0.05)
    return None


def _moons(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    y = torch.randint(2, (n,), generator=g)
    angle = math.pi * torch.rand(n, generator=g)
    sign = 1.0 - 2.0 * y
    x = torch.stack([angle.cos() * sign + y - 0.5, angle.sin() * sign + 0.5 * y - 0.25], dim=1)
    return 2 * x + 0.1 * torch.randn(n, 2, generator=g), y


def _spirals(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    y = torch.randint(2, (n,), generator=g)
    angle = 3 * math.pi * torch.rand(n, generator=g).sqrt()  # sqrt: uniform density along the arm
    arm = torch.stack([-angle.cos() * angle, angle.sin() * angle], dim=1) / 3
    return arm * (1.0 - 2.0 * y)[:, None] + 0.1 * torch.randn(n, 2, generator=g), y


def _checkerboard(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    column = torch.randint(4, (n,), generator=g)
    row = 2 * torch.randint(2, (n,), generator=g) + column % 2
    corner = torch.stack([column, row], dim=1) - 2.0
    return 2 * (corner + torch.rand(n, 2, generator=g)), column * 2 + row // 2


def _pinwheel(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Five twisted arms (Johnson et al., "Composing graphical models ...", 2016, https://arxiv.org/abs/1603.06277)."""
    y = torch.randint(5, (n,), generator=g)
    radial, across = (torch.randn(n, 2, generator=g) * torch.tensor([0.3, 0.1]) + torch.tensor([1.0, 0.0])).T
    angle = y * (2 * math.pi / 5) + 0.25 * radial.exp()
    turned = torch.stack(
        [radial * angle.cos() - across * angle.sin(), radial * angle.sin() + across * angle.cos()], dim=1
    )
    return 2 * turned, y


SHAPES: dict[str, tuple[Callable[[int, torch.Generator], tuple[Tensor, Tensor]], int]] = {
    "moons": (_moons, 2),
    "spirals": (_spirals, 2),
    "checkerboard": (_checkerboard, 8),
    "pinwheel": (_pinwheel, 5),
}
KINDS = ("two", "two_narrow", "ring", "grid", *SHAPES)


class Gaussian2D(Dataset):
    """Points in the plane: mixtures with a known density, moons, spirals, checkerboard, pinwheel; nothing to download.

    Validation and test points are drawn independently of the training points. Labels are the modes, arms or squares.

    Args:
        kind: two, two_narrow, ring, grid, moons, spirals, checkerboard or pinwheel.
        n: training points. Validation always has 5000 points and test 10000.
        seed: seeds the points only, so that a sweep over the run's `seed` trains on the same data.

    Raises:
        UserError: the kind is unknown, or n is below 1.
    """

    def __init__(self, kind: str = "two", n: int = 100_000, seed: int = 0) -> None:
        choose("kind", kind, KINDS)
        within("n", n, 1)
        truth = mixture(kind)
        self.kind = kind

        def split(size: int, stream: int) -> Split:
            g = torch.Generator().manual_seed(mix(seed, stream))
            return Split(*(truth.sample(size, g) if truth else SHAPES[kind][0](size, g)))

        splits = {"train": split(n, 0), "validation": split(5000, 1), "test": split(10000, 2)}
        classes = len(truth.modes) if truth else SHAPES[kind][1]
        fingerprint = digest("gaussian2d", kind, n, seed)
        super().__init__(f"gaussian2d {kind}", splits, "real", classes, fingerprint=fingerprint, truth=truth)
