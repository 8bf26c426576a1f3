"""Held-out samples: chosen class by class, with every class in training, and the same every time."""

import pytest
import torch

from genlab.data.splits import cut, order, plan
from genlab.errors import UserError


def counts(y: torch.Tensor, validation: float = 0.1, test: float = 0.1) -> list[list[int]]:
    """Returns the number of rows of each class (columns) in each split (rows)."""
    places, sizes = plan(len(y), y, validation, test)
    assert places.sort().values.tolist() == list(range(len(y)))
    classes = int(y.max()) + 1
    return [part.bincount(minlength=classes).tolist() for part in y[places].split(list(sizes))]


def classes(*sizes: int) -> torch.Tensor:
    """Returns shuffled labels of classes of these sizes."""
    y = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return y[torch.randperm(len(y), generator=torch.Generator().manual_seed(1))]


@pytest.mark.parametrize("sizes", [(1000, 60), (10, 10, 10), (50, 30, 20), (997, 3), (200, 50, 10)])
def test_every_class_is_held_out_in_proportion(sizes):
    train, validation, test = counts(classes(*sizes))
    n = sum(sizes)
    assert [sum(validation), sum(test)] == [round(n / 10)] * 2
    for k, size in enumerate(sizes):
        assert abs(validation[k] + test[k] - size / 5) < 1
        assert abs(validation[k] - size / 10) <= 1
        assert train[k] + validation[k] + test[k] == size


def test_classes_of_one_or_two_rows_are_in_the_training_split():
    for seed in range(20):
        y = classes(96, 1, 2, 1)[torch.randperm(100, generator=torch.Generator().manual_seed(seed))]
        train, validation, test = counts(y)
        assert train[1] == train[3] == 1
        assert train[2] >= 1
        assert sum(validation) == sum(test) == 10
    # Held-out rows of small classes do not all go to one split.
    _, validation, test = counts(classes(*[5] * 40))
    assert sum(n > 0 for n in validation) == sum(n > 0 for n in test) == 20


def test_the_smallest_training_split_holds_each_class_once():
    assert counts(classes(3, 3, 3), validation=0.3, test=0.3)[0] == [1, 1, 1]
    with pytest.raises(UserError, match="10 samples of 9 classes: training keeps one of each"):
        counts(classes(2, *[1] * 8))
    with pytest.raises(UserError, match="2 samples are too few"):
        plan(2, None, 0.1, 0.1)
    with pytest.raises(UserError, match=r"data\.test must be .* between 0 and 1, got 1\.0"):
        plan(20, None, 0.1, 1.0)


def test_splits_are_reproducible_and_well_mixed():
    y = torch.arange(2).repeat_interleave(500)
    first, again = plan(1000, y, 0.1, 0.1), plan(1000, y, 0.1, 0.1)
    assert torch.equal(first.places, again.places)
    assert first.sizes == (800, 100, 100)
    held_out = first.places[800:].sort().values
    assert 400 < held_out.float().mean() < 600  # from the whole file, not from its end
    assert 3 < y[first.places[:16]].sum() < 13  # both classes are among the first of a split
    assert torch.equal(plan(1000, None, 0.1, 0.1).places, order(1000))


def test_given_splits_are_kept_and_the_missing_one_is_taken_from_training():
    y = classes(60, 40)
    given = torch.zeros(100, dtype=torch.long)
    given[80:] = 2
    places, sizes = plan(100, y, 0.1, 0.5, given)
    assert sizes == (72, 8, 20)
    assert places[80:].sort().values.tolist() == list(range(80, 100))
    assert places[:80].max() < 80
    parts = cut(torch.arange(100)[places], y[places], sizes)
    assert {name: len(part.x) for name, part in parts.items()} == {"train": 72, "validation": 8, "test": 20}
    given[70:80] = 1
    assert plan(100, y, 0.9, 0.9, given).sizes == (70, 10, 20)  # the shares are then ignored
    with pytest.raises(UserError, match="1 samples are too few"):
        plan(3, None, 0.1, 0.1, torch.tensor([0, 1, 1]))
