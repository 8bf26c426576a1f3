"""How samples spread over the classes, as a classifier sees them (the class of the largest logit).

They are held against the shares that the classes have among real samples: a model of uneven classes that draws them
evenly is wrong. Without real samples the shares are even.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Balance(NamedTuple):
    shares: Tensor  # (K,) share of samples in each class, float64
    covered: int  # classes with at least a quarter of their real share, the rule that counts modes (modes.py)
    ratio: float  # smallest share over the largest: 1 is even, 0 is a class without any sample
    kl: float  # KL(shares || real shares) in nats: 0 is right; inf with samples of a class that has no real ones
    entropy: float  # of the shares in nats, log K where they are even


def class_shares(logits: Tensor, classes: int | None = None) -> Tensor:
    """The share of samples with logits (N, K) in each class: (K,) float64, on the CPU.

    Args:
        classes: K unless only the first so many count.

    Raises:
        ValueError: no samples.
    """
    if len(logits) == 0:
        raise ValueError("no samples to count")
    classes = classes or logits.shape[1]
    counts = torch.bincount(logits[:, :classes].argmax(dim=1).cpu(), minlength=classes)
    return counts.double() / counts.sum()


def class_balance(logits: Tensor, classes: int | None = None, real: Tensor | None = None) -> Balance:
    """Compare the classes of samples with logits (N, K) with those of real samples.

    Args:
        classes: K unless only the first so many count.
        real: (K,) shares of the classes among real samples; None: even ones.

    Raises:
        ValueError: no samples.
    """
    shares = class_shares(logits, classes)
    real = torch.full_like(shares, 1 / len(shares)) if real is None else real.to(shares)
    return Balance(
        shares=shares,
        covered=int(((4 * shares >= real) & (real > 0)).sum()),
        ratio=(shares.min() / shares.max()).item(),
        kl=max((torch.xlogy(shares, shares) - torch.xlogy(shares, real)).sum().item(), 0.0),
        entropy=-torch.xlogy(shares, shares).sum().item(),
    )


def label_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of conditional samples that the classifier takes for the class (N,) they were asked to be."""
    return (logits.argmax(dim=1) == labels.to(logits.device)).double().mean().item()
