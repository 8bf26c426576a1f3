"""Random graphs of the kinds that papers compare graph models on, drawn by the number.

Every generator takes how many graphs to draw and a NumPy generator, on which alone the result depends.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from genlab.data.graphs.graph import Graphs, from_pairs, networkx


def community(count: int, rng: np.random.Generator) -> Graphs:
    """Two communities: n nodes, uniform in 12 to 20; pairs within a half with probability 0.7, between with 0.2 / n.

    At least one edge joins the halves (J. You, R. Ying, X. Ren, W. Hamilton, J. Leskovec, "GraphRNN: Generating
    Realistic Graphs with Deep Auto-regressive Models", 2018, https://arxiv.org/abs/1802.08773).
    """
    sizes = rng.integers(12, 21, count)
    i, j = np.triu_indices(20, 1)
    half = sizes[:, None] // 2
    within = (i < half) == (j < half)
    here = rng.random((count, len(i))) < np.where(within, 0.7, 0.1 / half)
    there = j < sizes[:, None]
    here &= there
    between = there & ~within
    bridge = np.where(between, rng.random((count, len(i))), -1).argmax(1)  # one of these pairs
    here[np.arange(count), bridge] |= ~(here & between).any(1)
    return from_pairs(here, sizes)


def planar(count: int, rng: np.random.Generator) -> Graphs:
    """The Delaunay triangulation of 64 uniform points in the unit square.

    K. Martinkus, A. Loukas, N. Perraudin, R. Wattenhofer, "SPECTRE: Spectral Conditioning Helps to Overcome the
    Expressivity Limits of One-shot Graph Generators", 2022, https://arxiv.org/abs/2204.01613.
    """
    from scipy.spatial import Delaunay

    i, j = np.triu_indices(64, 1)
    here = np.zeros((count, 64, 64), bool)
    for k, points in enumerate(rng.random((count, 64, 2))):
        corners = Delaunay(points).simplices
        for a, b in ((0, 1), (1, 2), (0, 2)):
            here[k, corners[:, a], corners[:, b]] = True
    return from_pairs((here | here.transpose(0, 2, 1))[:, i, j], np.full(count, 64))


def sbm(count: int, rng: np.random.Generator) -> Graphs:
    """A stochastic block model: 2 to 5 blocks of 20 to 40 nodes, edges with probability 0.3 within, 0.005 between.

    The graphs of SPECTRE, see `planar`.
    """
    blocks = rng.integers(2, 6, count)
    lengths = rng.integers(20, 41, (count, 5)) * (np.arange(5) < blocks[:, None])
    sizes = lengths.sum(1)
    ends = lengths.cumsum(1)
    most = int(sizes.max())
    i, j = np.triu_indices(most, 1)
    here = np.zeros((count, len(i)), bool)
    for k in range(count):
        block = np.searchsorted(ends[k], np.arange(most), side="right")
        odds = np.where(block[i] == block[j], 0.3, 0.005)
        here[k] = (rng.random(len(i)) < odds) & (j < sizes[k])
    return from_pairs(here, sizes)


def lobster(count: int, rng: np.random.Generator) -> Graphs:
    """Lobsters, which are trees with a backbone, branches on it, and twigs on the branches.

    The backbone has 80 nodes on average, uniformly distributed; branches and twigs are added while a coin with
    probability 0.7 says so. Only lobsters of 10 to 100 nodes are kept, as by R. Liao et al., "Efficient Graph
    Generation with Graph Recurrent Attention Networks", 2019, https://arxiv.org/abs/1910.00760. The distribution is
    that of `networkx.random_lobster`, which takes 50 ms for a graph that is kept: it builds the large ones as well.
    """
    sizes, edges = [], []
    while len(sizes) < count:
        backbone = int(2 * 80 * rng.random() + 0.5)
        branches = rng.geometric(0.3, backbone) - 1
        if backbone + branches.sum() > 100:
            continue
        twigs = rng.geometric(0.3, int(branches.sum())) - 1
        size = int(backbone + branches.sum() + twigs.sum())
        if not 10 <= size <= 100:
            continue
        parents = np.concatenate([np.arange(backbone).repeat(branches), backbone + np.arange(len(twigs)).repeat(twigs)])
        parents = np.concatenate([np.arange(backbone - 1), parents])
        edges.append(np.column_stack([np.full(size - 1, len(sizes)), parents, np.arange(1, size)]))
        sizes.append(size)
    return Graphs(np.array(sizes, np.int64), np.concatenate(edges).astype(np.int64))


def trees(count: int, rng: np.random.Generator) -> Graphs:
    """Uniformly random labelled trees of 64 nodes.

    A. Bergmeister, K. Martinkus, N. Perraudin, R. Wattenhofer, "Efficient and Scalable Graph Generation through
    Iterative Local Expansion", 2024, https://arxiv.org/abs/2312.11529.
    """
    nx = networkx()
    return from_networkx([nx.random_labeled_tree(64, seed=int(rng.integers(2**31))) for _ in range(count)])


@cache
def atlas_classes() -> Graphs:
    """All 996 connected graphs of 1 to 7 nodes, one of each isomorphism class.

    R. C. Read, R. J. Wilson, "An Atlas of Graphs", 1998.
    """
    nx = networkx()
    return from_networkx([graph for graph in nx.graph_atlas_g() if len(graph) and nx.is_connected(graph)])


def atlas(count: int, rng: np.random.Generator) -> Graphs:
    """Connected graphs of up to 7 nodes, uniform over their isomorphism classes, with the nodes in random order."""
    graphs = atlas_classes().take(rng.integers(0, len(atlas_classes().sizes), count))
    row = np.repeat(np.arange(count), graphs.sizes)
    old = np.lexsort((rng.random(len(row)), row))
    new = np.empty_like(old)
    new[old] = np.arange(len(old)) - np.repeat(graphs.starts, graphs.sizes)
    return graphs.renumbered(new)


def from_networkx(graphs: list) -> Graphs:
    """Takes the nodes and edges of networkx's graphs, without attributes."""
    edges = []
    for k, graph in enumerate(graphs):
        place = {node: number for number, node in enumerate(graph)}
        edges += [(k, *sorted((place[a], place[b]))) for a, b in graph.edges]
    return Graphs(np.array([len(graph) for graph in graphs], np.int64), np.array(edges, np.int64).reshape(-1, 3))


class Kind(NamedTuple):
    """A kind of generated graphs."""

    draw: Callable[[int, np.random.Generator], Graphs]
    n: int  # training graphs, unless told otherwise
    published: int  # graphs that papers use; 0: none do


KINDS = {
    "community": Kind(community, 2000, 100),
    "planar": Kind(planar, 1000, 200),
    "sbm": Kind(sbm, 500, 200),
    "lobster": Kind(lobster, 1000, 100),
    "trees": Kind(trees, 1000, 200),
    "atlas": Kind(atlas, 10_000, 0),
}
