"""Chooses the samples to hold out: pseudo-randomly, class by class, the same ones in every run.

All rows are put into one order, training first, then validation, then test, and the splits are slices of it, so a
file written in this order can be mapped into memory and cut without a copy.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.data.base import Split
from genlab.errors import UserError

SEED = 0x0DD5  # of the sample order: fixed, so that every run holds out the same samples
NAMES = ("train", "validation", "test")


class Plan(NamedTuple):
    """The rows of a data set in the order of its splits."""

    places: Tensor  # (N,) row numbers: training first, then validation, then test
    sizes: tuple[int, int, int]  # rows in each of the three


def order(n: int) -> Tensor:
    """Returns a pseudo-random order (n,) of n samples that depends only on n."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(SEED))


def plan(n: int, y: Tensor | None, validation: float, test: float, given: Tensor | None = None) -> Plan:
    """Chooses the rows of each split; the result depends only on the arguments.

    With classes, each gives its share to validation and test as exactly as whole rows allow, and training keeps at
    least one row of every class. Without classes, the last rows of `order(n)` are held out.

    Args:
        y: classes (N,); None: do not split by class.
        validation, test: shares of the samples, rounded, at least one sample each.
        given: (N,), 0, 1 or 2 for rows already assigned to training, validation or test. A split that has rows keeps
            them; the share of a split without rows is taken from the training rows.

    Raises:
        UserError: the shares leave no training rows, or none of some class.
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1:
            raise UserError(f"data.{name} must be a share of the samples between 0 and 1, got {share}")
    split = torch.zeros(n, dtype=torch.long) if given is None else given.clone()
    places = order(n)
    pool = places[split[places] == 0]
    held = [0 if (split == k).any() else max(1, round(share * len(pool))) for k, share in ((1, validation), (2, test))]
    first = len(pool) - sum(held)
    if first < 1:
        raise UserError(
            f"data.path: {len(pool)} samples are too few: {held[0]} held out for validation and {held[1]} for test "
            f"leave none to train on"
        )
    if y is None:
        split[pool[first:]] = torch.tensor([1, 2]).repeat_interleave(torch.tensor(held))
    elif sum(held):
        pool = pool[y[pool].argsort(stable=True)]  # class by class, each in pseudo-random order
        counts = y[pool].bincount().tolist()
        present = sum(count > 0 for count in counts)
        if first < present:
            raise UserError(
                f"data.path: {len(pool)} samples of {present} classes: training keeps one of each class, so {held[0]} "
                f"for validation and {held[1]} for test are too many; leave out rare classes or lower the shares "
                f"data.validation and data.test"
            )
        quotas = [[count - a - b, a, b] for count, a, b in zip(counts, *_held_out(counts, *held), strict=True)]
        split[pool] = torch.arange(3).repeat(len(counts)).repeat_interleave(torch.tensor(quotas).flatten())
    sizes = split.bincount(minlength=3).tolist()
    return Plan(places[split[places].argsort(stable=True)], (sizes[0], sizes[1], sizes[2]))


def cut(x: Tensor, y: Tensor | None, sizes: Sequence[int]) -> dict[str, Split]:
    """Cuts samples in the order of a `Plan` into its splits, without a copy."""
    parts = x.split(list(sizes))
    labels: Sequence[Tensor | None] = [None] * 3 if y is None else y.split(list(sizes))
    return {name: Split(a, b) for name, a, b in zip(NAMES, parts, labels, strict=True)}


def _held_out(counts: list[int], validation: int, test: int) -> tuple[list[int], list[int]]:
    """Returns how many rows of each class go to validation and to test; one of each class stays for training."""
    held = _apportion(counts, validation + test, [max(0, count - 1) for count in counts])
    tested = _apportion(held, test, held)
    return [a - b for a, b in zip(held, tested, strict=True)], tested


def _apportion(weights: list[int], seats: int, room: list[int]) -> list[int]:
    """Distributes `seats` in proportion to `weights` by largest remainders, at most `room` to each.

    The sum of `room` must be at least `seats`. Ties are broken in a pseudo-random order.
    """
    total = sum(weights)
    given = [min(weight * seats // total, most) for weight, most in zip(weights, room, strict=True)]
    # sorted is stable, so the random order breaks ties.
    turns = sorted(order(len(weights)).tolist(), key=lambda k: -(weights[k] * seats % total))
    left = seats - sum(given)
    while left:
        for k in turns:
            if left and given[k] < room[k]:
                given[k] += 1
                left -= 1
    return given
