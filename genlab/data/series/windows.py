"""Windows of series: which steps each split has, and samples that are cut from them when a batch needs them.

Windows of one split never share a step with those of another, except with data.split=random, which papers use: there
neighbouring windows, which are nearly equal, are on both sides.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from torch import Tensor

from genlab.data.splits import NAMES, order, plan
from genlab.errors import UserError

SPLITS = ("auto", "id", "blocks", "random")


class Windows:
    """Windows (N, fields, T) of steps (R, fields), which only stores where they start.

    It offers what `Dataset` needs of a tensor; rows that are taken are tensors.

    Args:
        rows: (R, fields) steps.
        starts: (N,) int64, the first step of each window.
        length: T, the number of steps in a window.
    """

    def __init__(self, rows: Tensor, starts: Tensor, length: int) -> None:
        self.rows, self.starts, self.length = rows, starts, length

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.starts), self.rows.shape[1], self.length))

    @property
    def dtype(self) -> torch.dtype:
        return self.rows.dtype

    @property
    def device(self) -> torch.device:
        return self.rows.device

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.starts.nbytes

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def size(self) -> torch.Size: ...
    @overload
    def size(self, dim: int) -> int: ...
    def size(self, dim: int | None = None) -> torch.Size | int:
        return self.shape if dim is None else self.shape[dim]

    def to(self, device: torch.device | str) -> "Windows":
        """Moves the steps to a device."""
        return Windows(self.rows.to(device), self.starts.to(device), self.length)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Returns the windows `index` (B,): (B, fields, T)."""
        return self._cut(self.starts.index_select(dim, index))

    def __getitem__(self, key: Any) -> Tensor:
        return self._cut(self.starts[key])

    def _cut(self, starts: Tensor) -> Tensor:
        places = starts[:, None] + torch.arange(self.length, device=starts.device)
        return self.rows.index_select(0, places.flatten()).unflatten(0, places.shape).transpose(1, 2)


class Part(NamedTuple):
    """The windows of one split."""

    rows: np.ndarray  # (R,) its steps, as places among all steps
    starts: np.ndarray  # (N,) the first step of each window, as places among `rows`
    series: np.ndarray  # (N,) the series of each window

    def take(self, index: np.ndarray) -> "Part":
        """Only these windows, (M,)."""
        return self._replace(starts=self.starts[index], series=self.series[index])

    def covered(self, window: int) -> np.ndarray:
        """The steps that some window has, as places among all steps."""
        ends = np.bincount(self.starts, minlength=len(self.rows) + window)
        ends = ends - np.bincount(self.starts + window, minlength=len(ends))[: len(ends)]
        return self.rows[np.cumsum(ends)[: len(self.rows)] > 0]


class Parts(NamedTuple):
    """The windows of all splits."""

    parts: dict[str, Part]
    how: str  # in words


class Segment(NamedTuple):
    """Neighbouring steps of one series."""

    series: int
    start: int
    stop: int  # one past the last


def parted(
    lengths: np.ndarray,
    y: Tensor | None,
    split: str,
    window: int,
    stride: int,
    blocks: int,
    validation: float,
    test: float,
) -> Parts:
    """Chooses the windows of each split; the result depends only on the arguments.

    Args:
        lengths: (S,) steps of each series, at least a window.
        y: (S,) the class of each series, if there are any.
        split: "id" (whole series), "blocks" (of time), "random" (windows), or "auto": id if there are three series.
        blocks: how many blocks all series are cut into, if their lengths allow it.

    Raises:
        UserError: there are too few series or windows.
    """
    starts = np.cumsum(lengths) - lengths
    whole = [Segment(i, int(a), int(a + n)) for i, (a, n) in enumerate(zip(starts, lengths, strict=True))]
    if split == "auto":
        split = "id" if len(whole) >= len(NAMES) else "blocks"
    if split == "random":
        every = _part(whole, window, stride)
        if len(every.starts) < len(NAMES):
            raise UserError(f"{_few(len(every.starts))}; lower data.window or data.stride")
        places, sizes = plan(len(every.starts), None if y is None else y[every.series], validation, test)
        parts = [every.take(part.numpy()) for part in places.split(list(sizes))]
        return Parts(dict(zip(NAMES, parts, strict=True)), "windows held out at random")
    if split == "id":
        if len(whole) < len(NAMES):
            raise UserError(
                f"data.split=id needs three series of {window} steps and more, there {_are(len(whole))}; take "
                f"data.split=blocks"
            )
        places, sizes = plan(len(whole), y, validation, test)
        segments = [[whole[i] for i in part.tolist()] for part in places.split(list(sizes))]
        how = f"whole series held out: {', '.join(f'{len(s):,}' for s in segments)}"
    else:
        segments, count = _blocks(whole, window, blocks, validation, test)
        how = f"blocks of time held out, of {count} in all; no window lies across a cut"
    parts = [_part(each, window, stride) for each in segments]
    # In no order of time or of series, so that the first few windows of a split stand for all of them.
    parts = [part.take(order(len(part.starts)).numpy()) for part in parts]
    return Parts(dict(zip(NAMES, parts, strict=True)), how)


def _part(segments: Sequence[Segment], window: int, stride: int) -> Part:
    """All windows within segments."""
    rows, starts, series, offset = [], [], [], 0
    for own, start, stop in segments:
        rows.append(np.arange(start, stop))
        first = np.arange(0, stop - start - window + 1, stride)
        starts.append(first + offset)
        series.append(np.full(len(first), own))
        offset += stop - start
    return Part(np.concatenate(rows), np.concatenate(starts), np.concatenate(series))


def _blocks(
    whole: Sequence[Segment], window: int, blocks: int, validation: float, test: float
) -> tuple[list[list[Segment]], int]:
    """Cuts series into blocks of time and spreads the held-out ones evenly over them.

    Neighbouring blocks of one split are joined.

    Raises:
        UserError: there are fewer than three blocks of a window.
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1:
            raise UserError(f"data.{name} must be a share of the samples between 0 and 1, got {share}")
    lengths = [stop - start for _, start, stop in whole]
    size = max(sum(lengths) / blocks, 2 * window)  # so that a block has several windows
    counts = [max(1, int(length / size + 1e-9)) for length in lengths]
    if sum(counts) < len(NAMES):
        counts = [length // window for length in lengths]
    count = sum(counts)
    held = [max(1, round(share * count)) for share in (validation, test)]
    if count <= sum(held):
        raise UserError(
            f"{sum(lengths):,} steps are too few for three splits of windows of {window} steps: lower data.window, or "
            f"hold out less"
        )
    splits = np.zeros(count, np.int64)
    for i in range(sum(held)):
        tested = (i + 1) * held[1] // sum(held) > i * held[1] // sum(held)
        splits[int((i + 0.5) * count / sum(held))] = 2 if tested else 1
    segments: list[list[Segment]] = [[] for _ in NAMES]
    k = 0
    for (series, start, stop), own in zip(whole, counts, strict=True):
        edges = np.linspace(start, stop, own + 1).round().astype(int).tolist()
        for a, b in pairwise(edges):
            mine = segments[splits[k]]
            if mine and mine[-1].series == series and mine[-1].stop == a:
                mine[-1] = mine[-1]._replace(stop=b)
            else:
                mine.append(Segment(series, a, b))
            k += 1
    return segments, count


def _few(n: int) -> str:
    return f"{n} window{'s' * (n != 1)} cannot be split in three"


def _are(n: int) -> str:
    return f"is {n}" if n == 1 else f"are {n}"
