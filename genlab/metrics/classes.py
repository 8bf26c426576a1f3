"""How samples are spread over the classes, according to a classifier (the class of the largest logit).

The shares are compared with those among real samples: if the classes of the data are unbalanced, a model that draws
them evenly is wrong. Without real samples, they are compared with even shares.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Balance(NamedTuple):
    shares: Tensor  # (K,) share of samples in each class, float64
    covered: int  # classes with at least a quarter of their real share, as modes are counted in modes.py
    ratio: float  # smallest share over the largest: 1 is even, 0 is a class without any sample
    kl: float  # KL(shares || real shares) in nats: 0 is best; inf if samples are in a class without real ones
    entropy: float  # entropy of the shares in nats, log K if they are even


def class_shares(logits: Tensor) -> Tensor:
    """Returns the share of samples with logits (N, K) in each class: (K,) float64, on the CPU.

    Raises:
        ValueError: no samples.
    """
    if len(logits) == 0:
        raise ValueError("no samples to count")
    counts = torch.bincount(logits.argmax(dim=1).cpu(), minlength=logits.shape[1])
    return counts.double() / counts.sum()


def class_balance(logits: Tensor, real: Tensor | None = None) -> Balance:
    """Compares the classes of samples with logits (N, K) with those of real samples.

    Args:
        real: (K,) shares of the classes among real samples; None: even shares.

    Raises:
        ValueError: no samples.
    """
    shares = class_shares(logits)
    real = torch.full_like(shares, 1 / len(shares)) if real is None else real.to(shares)
    return Balance(
        shares=shares,
        covered=int(((4 * shares >= real) & (real > 0)).sum()),
        ratio=(shares.min() / shares.max()).item(),
        kl=max((torch.xlogy(shares, shares) - torch.xlogy(shares, real)).sum().item(), 0.0),
        entropy=-torch.xlogy(shares, shares).sum().item(),
    )


def label_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Returns the share of conditional samples that are classified as the requested class `labels` (N,)."""
    return (logits.argmax(dim=1) == labels.to(logits.device)).double().mean().item()
