"""Distance between mean path signatures: all products of increments in the order of time, up to the third level.

The signature of a path X with d coordinates has at level k the d^k iterated integrals

    S^{i₁...i_k} = ∫_{t₁<...<t_k} dX^{i₁} ... dX^{i_k}

For one straight piece with increment v it is exp(v) = (v, v⊗v / 2, v⊗v⊗v / 6), and Chen's identity, S(X * Y) = S(X) ⊗
S(Y), appends the pieces one by one. The mean signature characterises the law of a path, as moments do that of a vector.
Time is a coordinate, so that the order and the speed count, and paths start at the training mean, so that levels count.

Each term is divided by its standard deviation over the training series, or the third level of the loudest channel would
drown the rest; the distance is the root mean square over the terms.

T. Lyons, "Differential equations driven by rough signals", 1998, https://doi.org/10.4171/RMI/240. H. Ni et al.,
"Sig-Wasserstein GANs for Time Series Generation", 2021, https://arxiv.org/abs/2111.01207 (the distance between mean
signatures, there without the division).
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

TERMS = 300_000  # most terms, those of 66 channels
NUMBERS = 4_000_000  # of a chunk of signatures


def signature(paths: Tensor) -> Tensor:
    """The levels 1 to 3 of piecewise linear paths (N, L, d) with L points: (N, d + d² + d³)."""
    first = paths.new_zeros(len(paths), paths.shape[2])
    second = first[:, :, None] * first[:, None, :]
    third = second[:, :, :, None] * first[:, None, None, :]
    for v in paths.diff(dim=1).unbind(1):
        pair = v[:, :, None] * v[:, None, :] / 2
        # Level 3 of S ⊗ exp(v): S₃ + S₂⊗v + S₁⊗v²/2 + v³/6.
        third = third + second[..., None] * v[:, None, None, :]
        third = third + (first + v / 3)[:, :, None, None] * pair[:, None]
        second = second + first[:, :, None] * v[:, None, :] + pair
        first = first + v
    return torch.cat([first, second.flatten(1), third.flatten(1)], dim=1)


def augmented(x: Tensor) -> Tensor:
    """Series (N, C, T) as paths (N, T + 1, C + 1) that start at 0, with the time in [0, 1] as first coordinate."""
    points = pad(x.double().transpose(1, 2), (0, 0, 1, 0))
    time = torch.linspace(0, 1, points.shape[1], dtype=points.dtype, device=points.device)
    return torch.cat([time[:, None].expand(len(x), -1, 1), points], dim=2)


def mean_signature(x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation of each term over series (N, C, T), computed in chunks.

    Raises:
        ValueError: there are more than TERMS terms.
    """
    d = x.shape[1] + 1
    terms = d + d**2 + d**3
    if terms > TERMS:
        raise ValueError(f"signatures of {d - 1} channels have {terms:,} terms; at most {TERMS:,} are computed")
    total = square = torch.zeros(terms, dtype=torch.float64, device=x.device)
    for part in x.split(max(NUMBERS // terms, 1)):
        found = signature(augmented(part))
        total, square = total + found.sum(0), square + found.square().sum(0)
    mean = total / len(x)
    return mean, (square / len(x) - mean.square()).clamp(min=0).sqrt()


class Signatures:
    """The mean signature of the real series, which samples are compared with.

    Args:
        train: (N, C, T) standardised training series, which give the scale of the terms.
        real: (M, C, T) the series to compare with.

    Raises:
        ValueError: there are too many channels.
    """

    def __init__(self, train: Tensor, real: Tensor) -> None:
        mean, deviation = mean_signature(train)
        self.varies = deviation > 1e-6 * (1e-6 + mean.abs())  # terms of the time alone are constant
        self.deviation = deviation[self.varies]
        self.real = mean_signature(real)[0][self.varies]

    def distance(self, x: Tensor) -> dict[str, float]:
        """The distance of series (N, C, T) from the real ones, in deviations of the terms."""
        gap = (mean_signature(x)[0][self.varies] - self.real) / self.deviation
        return {"signature_distance": gap.square().mean().sqrt().item()}
