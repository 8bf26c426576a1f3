"""Generated graphs: communities, planar graphs, stochastic block models, lobsters, trees, all small connected graphs.

There is nothing to download. The distribution is known, so that memorised graphs and invalid ones can be told from new
and valid ones; that of the atlas is uniform over 996 classes, so that even probabilities can be checked.
"""

import zlib
from itertools import pairwise

import numpy as np
import torch

from genlab.data.base import Dataset, Split
from genlab.data.graphs.generators import KINDS, atlas_classes
from genlab.data.graphs.graph import Graphs, joined, networkx
from genlab.data.graphs.isomorphism import disjoint, repeats
from genlab.data.graphs.node_order import ordered
from genlab.data.graphs.packing import fields_of, pack_graphs
from genlab.data.graphs.source import GraphSource
from genlab.data.graphs.summary import content, shape_of
from genlab.data.packed import KnownGraphs
from genlab.errors import OptionError, choose, within

PROTOCOLS = ("fresh", "published")
FEWEST = 100  # graphs for validation, and for tests
COMMUNITY = (
    "the file of 100 community graphs that papers share holds only 62 isomorphism classes, and 40 % of its test graphs "
    "are in training; these graphs are drawn anew and so differ from it"
)


class Synthetic(Dataset):
    """Generated graphs: community, planar, sbm, lobster, trees, or atlas (all connected graphs of up to 7 nodes).

    Args:
        kind: which, see `generators`.
        n: training graphs; None: 2000 community, 1000 planar, 500 sbm, 1000 lobster, 1000 trees, 10000 atlas.
            Validation and test have an eighth of it each, and at least 100.
        protocol: "fresh" draws splits of which no two share a graph up to isomorphism. "published" draws as few graphs
            as papers do, 100 or 200, of which 64 % are for training, 16 % for validation and 20 % for tests, and keeps
            what they share. The splits of the atlas are independent draws from its 996 classes, so they share classes.
        order: "none", "bfs" or "degree": how nodes are numbered, which matters to autoregressive models and plain nets.
        seed: of the graphs only, so that a sweep over the run's seed trains on the same data.

    Raises:
        UserError: there is no such kind, protocol or order, n is below 1, or networkx is not installed.
    """

    def __init__(
        self, kind: str = "community", n: int | None = None, protocol: str = "fresh", order: str = "none", seed: int = 0
    ) -> None:
        choose("kind", kind, KINDS)
        choose("protocol", protocol, PROTOCOLS)
        within("seed", seed, 0)
        networkx()
        splits = _published(kind, n, seed) if protocol == "published" else _fresh(kind, n, seed)
        splits = [ordered(split, order) for split in splits]
        nodes = max(2, *(int(split.sizes.max()) for split in splits))
        fields = fields_of(splits[0])
        packed = [Split(pack_graphs(split, fields, nodes)) for split in splits]
        super().__init__(
            kind,
            dict(zip(("train", "validation", "test"), packed, strict=True)),
            fields,
            fingerprint=content(splits),
            nodes=nodes,
            source=GraphSource("npz"),
        )
        if kind == "atlas":
            classes = self.spec.units(pack_graphs(atlas_classes(), fields, nodes))
            self.known_graphs = KnownGraphs(classes, torch.full((len(classes),), 1 / len(classes)))
        self.notes = [f"{kind}: {shape_of(splits[0])} for training"]
        if protocol == "published":
            self.notes.append(f"{kind}: {_shared(splits)}")
            self.notes += [f"{kind}: {COMMUNITY}"] * (kind == "community")


def _fresh(kind: str, n: int | None, seed: int) -> list[Graphs]:
    n = KINDS[kind].n if n is None else n
    within("n", n, 1)
    held = max(FEWEST, round(n / 8))
    counts = (n, held, held)
    if kind != "atlas":
        return disjoint(KINDS[kind].draw, counts, _stream(kind, seed))
    return [KINDS[kind].draw(k, np.random.default_rng([*_stream(kind, seed), i])) for i, k in enumerate(counts)]


def _published(kind: str, n: int | None, seed: int) -> list[Graphs]:
    total = KINDS[kind].published
    if not total:
        raise OptionError("protocol", f"published does not apply to {kind}; use fresh")
    if n is not None:
        raise OptionError("n", f"does not apply to protocol=published, which has {total} graphs; leave it out")
    graphs = KINDS[kind].draw(total, np.random.default_rng(_stream(kind, seed)))
    cuts = [0, round(0.64 * total), round(0.8 * total), total]
    return [graphs.take(range(a, b)) for a, b in pairwise(cuts)]


def _shared(splits: list[Graphs]) -> str:
    """Says how many different graphs there are, and how many of the test graphs are in training."""
    graphs = joined(splits)
    kinds = repeats(graphs).count(False)
    shared = sum(repeats(splits[2], splits[0]))
    test = len(splits[2].sizes)
    return f"{len(graphs.sizes)} graphs of {kinds} isomorphism classes; {shared} of {test} test graphs are in training"


def _stream(kind: str, seed: int) -> list[int]:
    """What seeds the graphs of a kind."""
    return [seed, zlib.crc32(kind.encode())]
