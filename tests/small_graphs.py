"""Small graphs for tests: random ones, two communities, and data sets of them."""

import numpy as np
import torch

from genlab.data.base import Dataset, Split
from genlab.data.fields import Field
from genlab.data.packed import Packed, pack, presence
from genlab.metrics.graphs.batch import GraphBatch

PLAIN = (Field("present", "present", part="node"), Field("edge", "category", 2, part="edge", labels=("none", "edge")))


def random_graphs(n: int, nodes: int, density: float, seed: int = 0) -> GraphBatch:
    """Erdős-Rényi graphs of 1 to `nodes` nodes."""
    g = np.random.default_rng(seed)
    sizes = g.integers(1, nodes + 1, n)
    here = np.arange(nodes) < sizes[:, None]
    a = np.triu(g.random((n, nodes, nodes)) < density, 1) & here[:, :, None] & here[:, None]
    return GraphBatch(sizes, a | a.transpose(0, 2, 1))


def communities(n: int, seed: int, within: float = 0.7) -> GraphBatch:
    """Graphs of 12 to 20 nodes in two halves with dense edges within each and one edge between them."""
    g = np.random.default_rng(seed)
    sizes = g.integers(12, 21, n)
    half = sizes[:, None] // 2
    place = np.arange(20)
    first, here = place < half, place < sizes[:, None]
    same = (first[:, :, None] == first[:, None]) & here[:, :, None] & here[:, None]
    a = np.triu((g.random((n, 20, 20)) < within) & same, 1)
    a[:, 0] |= place == half
    return GraphBatch(sizes, a | a.transpose(0, 2, 1))


def packed(graphs: GraphBatch, seed: int | None = 0) -> torch.Tensor:
    """Graphs in the fields of `PLAIN`, with the nodes in random places."""
    n, nodes = graphs.here.shape
    a, here = torch.from_numpy(graphs.adjacency).float(), torch.from_numpy(graphs.here).float()
    if seed is not None:
        order = torch.rand(n, nodes, generator=torch.Generator().manual_seed(seed)).argsort(1)
        here = here.gather(1, order)
        a = torch.stack([each[p][:, p] for each, p in zip(a, order, strict=True)])
    x = pack(here[..., None], torch.stack([1 - a, a], dim=3))
    return x * presence(here, Packed(nodes, 1, 2))


def dataset(train: GraphBatch, held: GraphBatch, other: GraphBatch) -> Dataset:
    splits = {"train": Split(packed(train)), "validation": Split(packed(other)), "test": Split(packed(held))}
    return Dataset("graphs", splits, PLAIN, nodes=train.here.shape[1])
