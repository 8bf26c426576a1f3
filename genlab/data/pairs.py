"""Two unpaired domains a and b from one data set, or from two.

From one set, b is a known map T of *other* samples of the same set, so a model that learns a -> b without seeing a
pair can be judged against T itself:

    reals       T(x) = R x + s,  R a rotation by 30° of the first two coordinates, s a shift
    pixels      T(x) = 1 - max of each pixel and its four neighbours: inverted contrast, strokes two pixels thicker
    categories  each becomes the next one

In every split a is the first half of the samples and b comes from the second half: no sample stands on both sides.
From two sets, a is the first and b the second, whole, and no true map is known.

The true map is not the only one that carries the cloud a onto the cloud b: composing it with any map that leaves the
distribution unchanged gives another, and a symmetric cloud has many (N. Moriakov, J. Adler, J. Teuwen, "Kernel of
CycleGAN as a Principal Homogeneous Space", 2020, https://arxiv.org/abs/2001.09061).
"""

import copy
import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.data.base import Batch, Dataset, Split, digest
from genlab.data.fields import LIMITS, Group
from genlab.errors import UserError

ANGLE = math.radians(30.0)
SHIFT = (3.0, -1.5)
CHUNK = 1000  # raw images transformed at a time


class Pairs(Dataset):
    """Unpaired batches: "a" and "b", "x" (the same as "a"), labels "y" of a and "y_b" of b.

    To all that knows nothing of pairs this is the data set a.

    Args:
        first: where a comes from, and b as well unless there is a second set.
        second: where b comes from; no true map is known then.

    Raises:
        UserError: samples of two different shapes or ranges, or too few to split.
    """

    def __init__(self, first: Dataset, second: Dataset | None = None) -> None:
        self.known = second is None  # whether `transform` is the true map
        if second is not None and first.spec.meaning != second.spec.meaning:
            raise UserError(
                f"data.other: {second.name} has {second.spec.values} samples of {tuple(second.spec.shape)}, "
                f"{first.name} {first.spec.values} ones of {tuple(first.spec.shape)}; they must be the same"
            )
        # Shallow copies: the sets that were given keep all their samples, and none is copied.
        self.a, self.b = copy.copy(first), copy.copy(second or first)
        if second is None:
            halves = {name: _halve(name, split) for name, split in first.splits.items()}
            self.a.splits = {name: half for name, (half, _) in halves.items()}
            self.b.splits = {name: half for name, (_, half) in halves.items()}
        name = f"{first.name} and {second.name if second else 'its transform'}"
        fingerprint = digest(first.fingerprint, second.fingerprint if second else "")
        super().__init__(name, self.a.splits, first.spec.fields, fingerprint=fingerprint)
        self.counts = first.spec.counts  # of both halves
        own = self.a.splits["train"].y
        counts = () if own is None or not first.spec.classes else own.bincount(minlength=first.spec.classes).tolist()
        self.spec = first.spec.counted(counts)

    def __len__(self) -> int:
        """Samples of the longer side; a pass over the data repeats the shorter one."""
        return max(len(self.a), len(self.b))

    def to(self, device: torch.device | str, limit: int | None = None) -> "Pairs":
        """Have batches of both sides on `device`; `limit` holds for each side."""
        self.a.to(device, limit)
        self.b.to(device, limit)
        self.splits, self.device = self.a.splits, self.a.device
        return self

    def batch(self, split: str, index: Tensor) -> Batch:
        """Samples `index` (B,) of either side, counted modulo its length: "a", "b", "x" = "a", "y", "y_b"."""
        a = self.a.batch(split, index % len(self.a.splits[split].x))
        b = self.b.batch(split, index % len(self.b.splits[split].x))
        batch = a | {"a": a["x"], "b": self.transform(b["x"]) if self.known else b["x"]}
        return batch | {"y_b": b["y"]} if "y" in b else batch

    def target(self) -> Dataset:
        """The domain b as a data set of its own, with its labels: what translations are to be like."""
        if not self.known:
            return self.b
        splits = {name: self._transformed(split) for name, split in self.b.splits.items()}
        spec = self.spec
        name = f"{self.b.name} transformed"
        target = Dataset(name, splits, spec.fields, spec.classes, spec.labels, self.fingerprint)
        target.spec = spec.counted(self.counts)
        return target

    def _transformed(self, split: Split) -> Split:
        """The true map of raw samples, uint8 pixels `CHUNK` at a time."""
        if split.x.dtype != torch.uint8:
            return Split(self.spec.each(partial(moved, raw=True), split.x), split.y)
        return Split(torch.cat([255 - thicken(part.float()) for part in split.x.split(CHUNK)]).byte(), split.y)

    def transform(self, x: Tensor) -> Tensor:
        """The true translation T of samples of a, in the model's range: (B, *shape) -> (B, *shape).

        Raises:
            UserError: b is another data set; there is no true map.
        """
        if not self.known:
            raise UserError(f"{self.name}: no true map from one to the other is known")
        return self.spec.each(moved, x)


def moved(group: Group, x: Tensor, raw: bool = False) -> Tensor:
    """The true map of the channels of one group, as a model sees them or raw: (B, C, ...) -> (B, C, ...).

    Pixels that are no image are inverted, and not thicker.
    """
    if group.kind == "real":
        return turn(x)
    if group.kind == "category":
        return x.roll(1, dims=1)
    low, high = (0.0, 255.0) if raw else LIMITS[group.range]
    return low + high - (thicken(x) if x.dim() == 4 else x)


def turn(x: Tensor) -> Tensor:
    """R x + s: (B, D) -> (B, D); coordinates from the third on stay as they are, and one alone is shifted."""
    if x.shape[1] == 1:
        return x + SHIFT[0]
    cosine, sine = math.cos(ANGLE), math.sin(ANGLE)
    u, v = x[:, 0], x[:, 1]
    moved = torch.stack([cosine * u - sine * v + SHIFT[0], sine * u + cosine * v + SHIFT[1]], dim=1)
    return torch.cat([moved, x[:, 2:]], dim=1)


def thicken(x: Tensor) -> Tensor:
    """Largest value of each pixel and its four neighbours: (B, C, H, W) -> (B, C, H, W), in any range."""
    across, down = F.max_pool2d(x, (1, 3), 1, (0, 1)), F.max_pool2d(x, (3, 1), 1, (1, 0))
    return torch.maximum(across, down)


def _halve(name: str, split: Split) -> tuple[Split, Split]:
    middle = len(split.x) // 2
    if middle == 0:
        raise UserError(f"data: two domains need at least 2 {name} samples, here is {len(split.x)}")
    x, y = split
    return Split(x[:middle], None if y is None else y[:middle]), Split(x[middle:], None if y is None else y[middle:])
