"""Two unpaired domains a and b, made from one data set or two.

With one set, b is a known map T applied to *other* samples of the same set, so a model that learns a -> b without
seeing a pair can be compared with T itself:

    reals       T(x) = R x + s,  R a rotation by 30° of the first two coordinates, s a shift
    pixels      T(x) = 1 - max of each pixel and its four neighbours: inverted contrast, strokes two pixels thicker
    categories  each label becomes the next one
    tables      categories as above; T(z) = -z of a number's normal score z, which mirrors its rank; so do the steps of
                series from files, in their own code

In every split a is the first half of the samples and b comes from the second half, so no sample is on both sides. With
two sets, a is all of the first and b all of the second, and no true map is known.

The true map is not the only one that carries the distribution of a to that of b: composing it with any map that leaves
the distribution unchanged gives another, and a symmetric distribution has many (N. Moriakov, J. Adler, J. Teuwen,
"Kernel of CycleGAN as a Principal Homogeneous Space", 2020, https://arxiv.org/abs/2001.09061).
"""

import copy
import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.data.base import Batch, Dataset, Split, digest
from genlab.data.fields import LIMITS, Group
from genlab.data.spec import Spec, by_step
from genlab.errors import UserError

ANGLE = math.radians(30.0)
SHIFT = (3.0, -1.5)
CHUNK = 1000  # raw images transformed at a time


class Pairs(Dataset):
    """Unpaired batches: "a" and "b", "x" (the same as "a"), labels "y" of a and "y_b" of b.

    Code that does not know about pairs sees the data set a.

    Args:
        first: the source of a, and of b if there is no second set.
        second: the source of b; then no true map is known.

    Raises:
        UserError: the samples of the two sets differ in shape or meaning, or there are too few to split.
    """

    def __init__(self, first: Dataset, second: Dataset | None = None) -> None:
        self.known = second is None  # whether `transform` is the true map
        if second is not None and first.spec.meaning != second.spec.meaning:
            raise UserError(
                f"data.other: {second.name} has {second.spec.values} samples of shape {tuple(second.spec.shape)}, but "
                f"{first.name} has {first.spec.values} samples of shape {tuple(first.spec.shape)}; both must be alike"
            )
        # Shallow copies: the given sets keep all their samples, and no sample is copied.
        self.a, self.b = copy.copy(first), copy.copy(second or first)
        if second is None:
            halves = {name: _halve(name, split) for name, split in first.splits.items()}
            self.a.splits = {name: half for name, (half, _) in halves.items()}
            self.b.splits = {name: half for name, (_, half) in halves.items()}
        name = f"{first.name} and {second.name if second else 'its transform'}"
        fingerprint = digest(first.fingerprint, second.fingerprint if second else "")
        if first.spec.table is not None and second is not None and first.spec.table != second.spec.table:
            # Numbers of b are read on the scale of a: their own normal scores would hide that the two differ.
            schema, own = first.spec.table, second.spec
            self.b.splits = {
                name: split._replace(x=schema.pack(schema.encode(own.units(split.x))))
                for name, split in self.b.splits.items()
            }
        parts = _parts(first.spec)
        super().__init__(name, self.a.splits, first.spec.fields, fingerprint=fingerprint, **parts)
        self.counts = first.spec.counts  # the counts of both halves together
        y_a = self.a.splits["train"].y
        counts = () if y_a is None or not first.spec.classes else y_a.bincount(minlength=first.spec.classes).tolist()
        self.spec = first.spec.counted(counts)

    def __len__(self) -> int:
        """Returns the number of samples of the longer side; a pass over the data repeats the shorter one."""
        return max(len(self.a), len(self.b))

    def to(self, device: torch.device | str, limit: int | None = None) -> "Pairs":
        """Makes batches of both sides on `device`; `limit` applies to each side."""
        self.a.to(device, limit)
        self.b.to(device, limit)
        self.splits, self.device = self.a.splits, self.a.device
        return self

    def batch(self, split: str, index: Tensor) -> Batch:
        """Returns samples `index` (B,), modulo the length of each side, as "a", "b", "x" (= "a"), "y" and "y_b"."""
        a = self.a.batch(split, index % len(self.a.splits[split].x))
        b = self.b.batch(split, index % len(self.b.splits[split].x))
        batch = a | {"a": a["x"], "b": self.transform(b["x"]) if self.known else b["x"]}
        return batch | {"y_b": b["y"]} if "y" in b else batch

    def target(self) -> Dataset:
        """Returns the domain b as a data set of its own, with its labels: the target of translations."""
        if not self.known:
            return self.b
        splits = {name: self._transformed(split) for name, split in self.b.splits.items()}
        spec = self.spec
        name = f"{self.b.name} transformed"
        parts = _parts(spec)
        target = Dataset(name, splits, spec.fields, spec.classes, spec.labels, self.fingerprint, **parts)
        target.spec = spec.counted(self.counts)
        return target

    def _transformed(self, split: Split) -> Split:
        """Applies the true map to raw samples, to uint8 pixels `CHUNK` images at a time."""
        if self.spec.table is not None:
            schema = self.spec.table
            return Split(schema.pack(self.transform(schema.expand(split.x))), split.y)
        if (steps := self.spec.steps) is not None:
            mapped = self.transform(by_step(steps.expand, split.x[:]))
            return Split(by_step(steps.pack, mapped), split.y)
        if split.x.dtype != torch.uint8:
            return Split(self.spec.each(partial(moved, raw=True), split.x), split.y)
        return Split(torch.cat([255 - thicken(part.float()) for part in split.x.split(CHUNK)]).byte(), split.y)

    def transform(self, x: Tensor) -> Tensor:
        """Applies the true map T to samples of a, in the model's range: (B, *shape) -> (B, *shape).

        Raises:
            UserError: b is another data set, so the true map is unknown.
        """
        if not self.known:
            raise UserError(f"{self.name}: no true map between the two data sets is known")
        if self.spec.table is not None or self.spec.steps is not None:
            return self.spec.each(mirrored, x)
        return self.spec.each(moved, x)


def moved(group: Group, x: Tensor, raw: bool = False) -> Tensor:
    """Applies the true map to the channels of one group, encoded or raw: (B, C, ...) -> (B, C, ...).

    Pixels that do not form an image are inverted but not thickened.
    """
    if group.kind == "real":
        return turn(x)
    if group.kind == "category":
        return x.roll(1, dims=1)
    low, high = (0.0, 255.0) if raw else LIMITS[group.range]
    return low + high - (thicken(x) if x.dim() == 4 else x)


def mirrored(group: Group, x: Tensor) -> Tensor:
    """Applies the true map of tables to the channels of one group: (B, C) -> (B, C)."""
    return -x if group.kind == "real" else moved(group, x)


def turn(x: Tensor) -> Tensor:
    """Computes R x + s, (B, D) -> (B, D); keeps the coordinates after the second, and only shifts x if D is 1."""
    if x.shape[1] == 1:
        return x + SHIFT[0]
    cosine, sine = math.cos(ANGLE), math.sin(ANGLE)
    u, v = x[:, 0], x[:, 1]
    moved = torch.stack([cosine * u - sine * v + SHIFT[0], sine * u + cosine * v + SHIFT[1]], dim=1)
    return torch.cat([moved, x[:, 2:]], dim=1)


def thicken(x: Tensor) -> Tensor:
    """Returns the maximum of each pixel and its four neighbours: (B, C, H, W) -> (B, C, H, W), in any range."""
    across, down = F.max_pool2d(x, (1, 3), 1, (0, 1)), F.max_pool2d(x, (3, 1), 1, (1, 0))
    return torch.maximum(across, down)


def _parts(spec: Spec) -> dict[str, Any]:
    """What a data set of such samples takes besides the fields."""
    return {"table": spec.table, "steps": spec.steps, "nodes": spec.nodes, "source": spec.source}


def _halve(name: str, split: Split) -> tuple[Split, Split]:
    middle = len(split.x) // 2
    if middle == 0:
        raise UserError(f"data: two domains need at least 2 {name} samples, got {len(split.x)}")
    x, y = split
    return Split(x[:middle], None if y is None else y[:middle]), Split(x[middle:], None if y is None else y[middle:])
