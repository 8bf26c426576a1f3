"""Data sets as the rest of genlab sees them: a shape, tensors on one device, and batches by number.

Each split is one raw tensor (uint8 pixels, float points) on the device; scaling and binarization happen there, per
batch. Batch number n is a pure function of (seed, n), so a resumed run needs no loader state. A set too large for the
device stays in host memory (or mapped from disk), and each batch is copied to the device.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from genlab.data.columns.schema import Schema
from genlab.data.fields import Field, Range
from genlab.data.graphs.source import GraphSource
from genlab.data.mixture import Mixture
from genlab.data.packed import KnownGraphs
from genlab.data.series.source import Source
from genlab.data.spec import Spec
from genlab.errors import UserError
from genlab.machine import cache_root

Batch = dict[str, Tensor]  # "x": (B, *shape), "y": (B,) labels, if any, "step": () the number of the step


class Split(NamedTuple):
    """Raw samples (N, *shape), uint8 pixels or float values, with their labels (N,) int64, if any."""

    x: Tensor
    y: Tensor | None = None


class Dataset:
    """The splits `train`, `validation` and `test` of one data set, and the encoding in which a model sees them.

    Args:
        splits: raw tensors by split name; uint8 ones are pixels in 0..255.
        fields: what the channels mean, see `Spec`; or one range for all values: uint8 pixels are scaled to it, float
            data are "real". Columns must be standardised already.
        classes: the number of classes, 0 for none.
        labels: the names of the classes, if they have names.
        fingerprint: changes whenever the samples change; "" if unknown.
        truth: the distribution that the samples were drawn from, if known.
        table: the schema of a table of typed columns, whose splits hold packed rows.
        steps: the schema of one step of series of typed columns, whose splits hold packed steps (N, fields, T).
        nodes: the largest number of nodes of graphs, whose splits hold packed graphs, see `packed`.
        source: what the file of series or graphs looks like, so that samples can be written like it.

    Raises:
        UserError: the range does not fit the type of the samples.
    """

    known_graphs: KnownGraphs | None = None  # the distribution that graphs were drawn from, if their classes are few
    reads_other: ClassVar[bool] = False  # whether its class takes `other` and makes a second set, `self.other`, of it

    def __init__(
        self,
        name: str,
        splits: dict[str, Split],
        fields: tuple[Field, ...] | Range,
        classes: int = 0,
        labels: tuple[str, ...] = (),
        fingerprint: str = "",
        truth: Mixture | None = None,
        table: Schema | None = None,
        steps: Schema | None = None,
        nodes: int = 0,
        source: Source | GraphSource | None = None,
    ) -> None:
        self.name = name
        self.splits = splits
        self.whole = splits["train"]  # all training data, on the host, even if a run trains on part of it
        self.fingerprint, self.truth = fingerprint, truth
        self.notes: list[str] = []  # lines about the data that a run prints at its start
        self.device = splits["train"].x.device  # the device of batches; the splits may stay in host memory
        x, y = splits["train"]
        counts = () if y is None or not classes else tuple(y.bincount(minlength=classes).tolist())
        shape = tuple(x.shape[1:])
        if schema := table or steps:
            shape = (schema.width, *shape[1:])
        self.spec = Spec(shape, classes, fields, labels, counts, table, steps, nodes, source)
        if (x.dtype == torch.uint8) != self.spec.only("pixel"):
            allowed = "symmetric, unit or binary" if x.dtype == torch.uint8 else "real"
            raise UserError(f"data.range: '{self.spec.values}' does not fit {name}; allowed: {allowed}")

    def __len__(self) -> int:
        return self.splits["train"].x.size(0)

    def to(self, device: torch.device | str, limit: int | None = None) -> "Dataset":
        """Makes batches on `device`; moves the splits there too, in place, unless they are larger than `limit`.

        Args:
            limit: bytes; None: half of the free memory of a CUDA device, no limit on other devices.
        """
        self.device = torch.device(device)
        if limit is None and self.device.type == "cuda":
            limit = torch.cuda.mem_get_info(self.device)[0] // 2
        if limit is None or sum(split.x.nbytes for split in self.splits.values()) <= limit:
            self.splits = {
                name: Split(s.x.to(device), None if s.y is None else s.y.to(device)) for name, s in self.splits.items()
            }
        return self

    def _take(self, values: Tensor, index: Tensor) -> Tensor:
        """Returns rows `index` of `values`, on the device of the batches."""
        if values.device == self.device == index.device:
            return values.index_select(0, index)
        rows = values.index_select(0, index.to(values.device))
        if rows.device.type == "cpu" and self.device.type == "cuda":
            rows = rows.pin_memory()  # so that the copy does not block the host
        return rows.to(self.device, non_blocking=True)

    def encode(self, raw: Tensor) -> Tensor:
        """Encodes raw samples as float32 in the model's range."""
        return self.spec.encode(raw)

    def decode(self, x: Tensor) -> Tensor:
        """Converts from the model's range to data units, see `Spec.decode`."""
        return self.spec.decode(x)

    def batch(self, split: str, index: Tensor) -> Batch:
        """Returns the samples `index` (B,) of a split as a batch with "x" and, if the split has labels, "y"."""
        data = self.splits[split]
        batch = {"x": self.encode(self._take(data.x, index))}
        if data.y is not None:
            batch["y"] = self._take(data.y, index)
        return batch

    def head(self, split: str, n: int) -> Batch:
        """Returns the first `n` samples of a split, or all of it if it is shorter."""
        data = self.splits[split]
        return self.batch(split, torch.arange(min(n, len(data.x)), device=data.x.device))

    def labels(self, split: str, n: int) -> Tensor | None:
        """Returns classes (n,) for samples to compare with a split: its own, in order; None if it has no labels.

        A split of fewer than n samples is repeated. Classes without training samples are skipped, because no model can
        know them.
        """
        y = self.splits[split].y
        if y is None or not self.spec.classes:
            return None
        known = y[torch.tensor(self.spec.counts, device=y.device)[y] > 0] if self.spec.counts else y
        if not len(known):
            known = self.splits["train"].y
            assert known is not None
        return known[torch.arange(n, device=y.device) % len(known)].to(self.device)

    def real(self, split: str, n: int) -> Tensor:
        """Returns the first `n` samples in data units (images in [0, 1], never binarized), for measures and plots."""
        return self.spec.units(self.splits[split].x[:n].to(self.device).float())


class Stream:
    """Training batches by number: an endless sequence of shuffled passes over the data, cut into batches.

    Each pass has every sample once; a batch may span two passes, so that all batches have the same size.
    `stream(n)` depends only on (seed, n), not on earlier calls.

    Args:
        size: samples in a batch, over all parts and ranks.
        parts: number of equal slices that a batch is cut into (gradient accumulation, ranks).
    """

    def __init__(self, data: Dataset, size: int, seed: int, parts: int = 1) -> None:
        self.data, self.size, self.seed, self.parts = data, size, seed, parts
        self._orders: dict[int, Tensor] = {}

    def __call__(self, number: int, part: int = 0) -> Batch:
        length = self.size // self.parts
        return self.data.batch("train", self._index(number * self.size + part * length, length))

    def _index(self, start: int, length: int) -> Tensor:
        total, pieces = len(self.data), []
        while length > 0:
            epoch, offset = divmod(start, total)
            taken = min(length, total - offset)
            pieces.append(self._order(epoch).narrow(0, offset, taken))
            start, length = start + taken, length - taken
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            # Shuffled on the CPU, so that the order of the data is the same on every device.
            generator = torch.Generator().manual_seed(mix(self.seed, epoch, STREAM))
            order = torch.randperm(len(self.data), generator=generator)
            kept = {e: o for e, o in self._orders.items() if e == epoch - 1}
            self._orders = kept | {epoch: order.to(self.data.splits["train"].x.device)}
        return self._orders[epoch]


STREAM = 0x5EED  # separates the random stream of the data order from that of the training steps


def mix(*numbers: int) -> int:
    """Mixes small integers (seed, step, ...) into one well-spread 63-bit seed.

    Uses the finalizer of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014,
    https://doi.org/10.1145/2714064.2660195), applied number by number.
    """
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


def digest(*parts: object) -> str:
    """Returns a fingerprint of plain values and lists of them: 16 hexadecimal digits that change when any part does."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def data_root(root: str | os.PathLike | None = None) -> Path:
    """Returns the folder of data files: `root`, else the variable GENLAB_DATA, else the user's cache folder."""
    return Path(os.path.expanduser(root or os.environ.get("GENLAB_DATA") or cache_root()))


def cache_folders(root: str | os.PathLike | None = None) -> list[Path]:
    """Returns the folders in which prepared data may be kept, in the order in which they are tried."""
    return [folder / "genlab-cache" for folder in dict.fromkeys((data_root(root), cache_root()))]
