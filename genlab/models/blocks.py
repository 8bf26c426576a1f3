"""Cuts samples into blocks, in the order in which an autoregressive model draws them.

    layout     blocks            numbers of a block
    vector     1                 all
    sequence   the steps         the channels of a step
    image      the rows          the pixels of a row, colour after colour
    graph      the nodes         the node's own, then its edges to the nodes before it

The blocks of a sample have equally many numbers; an edge of a node to itself and to later nodes is 0 and not learnt.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.data.packed import Packed, pack, unpack
from genlab.data.spec import Spec
from genlab.models.slots import Slots


class Blocks:
    """How the learnt channels of samples are cut.

    Args:
        spec: the data's spec.
        mixtures: components of the distribution of a real, or of a pixel of 256 values.
    """

    def __init__(self, spec: Spec, mixtures: int) -> None:
        self.spec, self.shape = spec, spec.shape
        self.count = 1
        if spec.layout in ("sequence", "image"):
            self.count = spec.shape[1]
        elif spec.layout == "graph":
            self.count = spec.nodes
        self.slots: list[Slots] = []
        for field in spec.fields:
            across = {"image": spec.shape[-1], "graph": spec.nodes - 1 if field.part == "edge" else 1}
            kind = "binary" if field.range == "binary" else field.kind
            one = field.size if kind == "category" else 1
            count = field.size // one * across.get(spec.layout, 1)
            self.slots.append(Slots(kind, one, count, mixtures, field.range))
        self.numbers = sum(slots.size * slots.count for slots in self.slots)

    def of(self, x: Tensor) -> Tensor:
        """Samples (B, *shape) -> blocks (B, S, I)."""
        if self.spec.layout == "vector":
            return x[:, None]
        if self.spec.layout == "sequence":
            return x.transpose(1, 2)
        if self.spec.layout == "image":
            return self._flat(x, "")
        assert isinstance(self.shape, Packed)
        nodes, edges = unpack(x, self.shape)
        earlier = torch.tril(edges.permute(0, 3, 1, 2), -1)[..., :-1]  # (B, Ce, N, N - 1)
        return torch.cat([nodes, self._flat(earlier, "edge")], dim=2)

    def back(self, blocks: Tensor) -> Tensor:
        """The inverse of `of`."""
        if self.spec.layout == "vector":
            return blocks[:, 0]
        if self.spec.layout == "sequence":
            return blocks.transpose(1, 2)
        if self.spec.layout == "image":
            return self._square(blocks, "")
        assert isinstance(self.shape, Packed)
        nodes, edges = blocks.tensor_split([self.shape.node_channels], dim=2)
        square = F.pad(self._square(edges, "edge"), (0, 1))  # (B, Ce, N, N)
        return pack(nodes, (square + square.transpose(2, 3)).permute(0, 2, 3, 1))

    def _flat(self, x: Tensor, part: str) -> Tensor:
        """Fields of two axes (B, C, S, W) -> (B, S, C W): field after field, in each place after place."""
        sizes = [field.size for field in self.spec.fields if field.part == part]
        return torch.cat([each.permute(0, 2, 3, 1).flatten(2) for each in x.split(sizes, dim=1)], dim=2)

    def _square(self, flat: Tensor, part: str) -> Tensor:
        """The inverse of `_flat`."""
        sizes = [field.size for field in self.spec.fields if field.part == part]
        across = flat.shape[2] // sum(sizes)
        parts = flat.split([size * across for size in sizes], dim=2)
        return torch.cat(
            [p.unflatten(2, (-1, n)).permute(0, 3, 1, 2) for p, n in zip(parts, sizes, strict=True)], dim=1
        )

    def learnt(self, here: Tensor | None) -> Tensor | None:
        """Which slots count, (B, S, P): those that are there, see `Spec.presence`; None if all do.

        Args:
            here: (B, *shape), 1 for what is there.
        """
        if here is None:
            return None
        mask, parts = self.of(here), []
        for slots, part in zip(self.slots, mask.split([s.size * s.count for s in self.slots], dim=2), strict=True):
            parts.append(part.unflatten(2, (slots.count, slots.size))[..., 0])
        return torch.cat(parts, dim=2)

    def places(self, block: int) -> list[tuple[int, int, Slots]]:
        """The slots that exist in a block, in order: the place of each, that of its first number, and its kind."""
        found, place, number = [], 0, 0
        for slots, field in zip(self.slots, self.spec.fields, strict=True):
            for i in range(slots.count):
                if field.part != "edge" or i < block:
                    found.append((place + i, number + i * slots.size, slots))
            place, number = place + slots.count, number + slots.count * slots.size
        return found
