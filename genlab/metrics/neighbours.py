"""Nearest neighbours in chunks, and measures of memorisation based on them.

A model that copies its training images passes every test of quality and variety. Held-out real images serve as the
reference: they come from the same distribution as the training images, and cannot have been copied.

    excess   P(the nearest of all real images is a training image), corrected for chance. With n training and m held-out
             images, it is p = n / (n + m) for a sampler of the true distribution. The reported value is
             (share - p) / (1 - p) above p and (share - p) / p below: 0 for no memorisation, 1 for copies only, -1 if a
             training image is never the nearest. Blurred samples, which are near to everything, do not raise it.
             Samples count as 0 if they are farther from all real images than the median held-out image is from the
             training images: all noise has the same few outliers as nearest images, and their origin is chance.
    ratio    median distance to the nearest training image, divided by that of held-out images: 1 at best.
    copies   share of samples nearer to a training image than 99 % of the held-out images are: 0.01 at best.

C. Meehan, K. Chaudhuri, S. Dasgupta, "A Non-Parametric Test to Detect Data-Copying in Generative Models", 2020,
https://arxiv.org/abs/2004.05675 (the three samples; there the distances to the training set are compared by ranks).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 500  # rows of a distance matrix at a time: 110 MB against 55,000 columns in float32


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Computes |x_i - y_j|² (N, M) for x (N, D) and y (M, D) by a matrix product; centre both to limit rounding."""
    cross = torch.addmm(y.square().sum(1), x, y.T, alpha=-2)
    return cross.add_(x.square().sum(1, keepdim=True)).clamp_(min=0)


def nearest_distances(samples: Tensor, real: Tensor, chunk: int = CHUNK) -> Tensor:
    """Returns the Euclidean distance of each sample (N, D) to its nearest real sample (M, D): (N,)."""
    centre = real.mean(dim=0)
    real = real - centre
    return torch.cat([squared_distances(part - centre, real).amin(dim=1) for part in samples.split(chunk)]).sqrt()


def squared_radii(x: Tensor, ks: tuple[int, ...], chunk: int = CHUNK) -> Tensor:
    """Returns the squared distance of each x (N, D) to its k-th nearest other sample, for each k: (len(ks), N).

    Raises:
        ValueError: there are no more than k samples.
    """
    if len(x) <= max(ks):
        raise ValueError(f"{len(x)} samples have no neighbour number {max(ks)}")
    x = x - x.mean(dim=0)
    radii = []
    for start in range(0, len(x), chunk):
        distance = squared_distances(x[start : start + chunk], x)
        rows = torch.arange(len(distance), device=x.device)
        distance[rows, rows + start] = torch.inf
        nearest = distance.topk(max(ks), dim=1, largest=False).values
        radii.append(torch.stack([nearest[:, k - 1] for k in ks]))
    return torch.cat(radii, dim=1)


class Memorisation(NamedTuple):
    excess: float
    error: float  # standard error of excess, from the scatter of the samples; NaN for one sample
    ratio: float
    copies: float


def memorisation(
    fake: Tensor, train: Tensor, held_out: Tensor, held_out_distances: Tensor | None = None
) -> Memorisation:
    """Compares the distances of fake (N, D) to train (n, D) with those of held-out real samples (m, D).

    Args:
        held_out_distances: `nearest_distances(held_out, train)`, if computed already.
    """
    if held_out_distances is None:
        held_out_distances = nearest_distances(held_out, train)
    to_train, to_held_out = nearest_distances(fake, train), nearest_distances(fake, held_out)
    chance = len(train) / (len(train) + len(held_out))
    # "Near" means near to either set, so the chance is still p. Ties: a training image that is also held out.
    near = torch.minimum(to_train, to_held_out) <= held_out_distances.median()
    wins = (to_train < to_held_out).double() + 0.5 * (to_train == to_held_out).double()
    above = (wins - chance) * near
    scale = 1 - chance if above.mean() > 0 else chance
    return Memorisation(
        excess=above.mean().item() / scale,
        error=above.std().item() / math.sqrt(len(above)) / scale if len(above) > 1 else math.nan,
        ratio=(to_train.median() / held_out_distances.median()).item(),
        copies=(to_train < held_out_distances.quantile(0.01)).double().mean().item(),
    )
