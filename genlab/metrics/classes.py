"""How samples spread over the classes, as a classifier sees them (the class of the largest logit)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Balance(NamedTuple):
    shares: Tensor  # (K,) share of samples in each class, float64
    covered: int  # classes with at least a quarter of their fair share 1/K, the rule that counts modes (modes.py)
    ratio: float  # smallest share over the largest: 1 is even, 0 is a class without any sample
    kl: float  # KL(shares || uniform) in nats: 0 is even, log K is one class alone
    entropy: float  # of the shares in nats: log K - kl


def class_balance(logits: Tensor, classes: int | None = None) -> Balance:
    """Count the classes among samples with logits (N, K); `classes` is K unless only the first so many count.

    Raises:
        ValueError: no samples.
    """
    if len(logits) == 0:
        raise ValueError("no samples to count")
    classes = classes or logits.shape[1]
    counts = torch.bincount(logits[:, :classes].argmax(dim=1).cpu(), minlength=classes)
    shares = counts.double() / counts.sum()
    entropy = -torch.xlogy(shares, shares).sum().item()
    return Balance(
        shares=shares,
        covered=int((4 * classes * counts >= counts.sum()).sum()),
        ratio=(shares.min() / shares.max()).item(),
        kl=max(math.log(classes) - entropy, 0.0),
        entropy=entropy,
    )


def label_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of conditional samples that the classifier takes for the class (N,) they were asked to be."""
    return (logits.argmax(dim=1) == labels.to(logits.device)).double().mean().item()
