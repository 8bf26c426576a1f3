"""Copies of training series: how near samples are to training windows, compared with held-out real windows.

The measures are those of `neighbours.py`, over standardised windows, and the share of samples that equal a training
window. Windows that overlap in time lie close together, so held-out windows decide what is near.
"""

import math

import torch
from torch import Tensor

from genlab.metrics.neighbours import CHUNK, memorisation, squared_distances

SAMPLES, TRAIN = 2000, 20_000  # windows that are compared at most
SAME = 1e-5  # root mean square difference, in deviations of the channels, up to which two windows are the same


def copies(fake: Tensor, held_out: Tensor, train: Tensor) -> dict[str, float]:
    """Compares samples (N, C, T) with training windows (M, C, T) and held-out real ones (K, C, T), standardised.

    Raises:
        ValueError: one of them is empty.
    """
    fake, held_out, train = (x[:most].flatten(1) for x, most in ((fake, SAMPLES), (held_out, SAMPLES), (train, TRAIN)))
    if not (len(fake) and len(held_out) and len(train)):
        raise ValueError("needs samples, training series and held-out ones")
    # Among as many of each, either is as likely to be the nearest.
    n = min(len(held_out), len(train))
    result = memorisation(fake, train, held_out)
    return {
        "train_distance": result.ratio,
        "train_copies": result.copies,
        "nearer_to_train": nearer(fake, train[:n], held_out[:n]),
        "exact_copies": (nearest(fake, train) <= SAME * math.sqrt(fake.shape[1])).double().mean().item(),
    }


def nearer(fake: Tensor, train: Tensor, held_out: Tensor) -> float:
    """The share of fake (N, D) that is nearer to train (n, D) than to held_out (n, D); ties count half."""
    a, b = nearest(fake, train), nearest(fake, held_out)
    return ((a < b).double() + 0.5 * (a == b).double()).mean().item()


def nearest(x: Tensor, y: Tensor) -> Tensor:
    """The distance of each x (N, D) to its nearest y (M, D), (N,) float64, exact where the windows are equal."""
    centre = y.mean(0)
    y = y - centre
    found = []
    for part in (x - centre).split(CHUNK):
        # The matrix product finds the neighbour; its distance is rounded, so it is computed again from the difference.
        index = squared_distances(part, y).argmin(1)
        found.append((part.double() - y[index].double()).norm(dim=1))
    return torch.cat(found)
