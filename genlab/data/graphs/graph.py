"""Undirected graphs of different sizes in flat arrays, which readers, generators and writers share."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from genlab.errors import UserError


class Attribute(NamedTuple):
    """What is known about every node, or about every edge: one of a few labels, or a number."""

    name: str
    values: np.ndarray  # (V,) of nodes or (E,) of edges: int64 places in `labels`, or float64 numbers
    labels: tuple[str, ...] = ()  # of a category; () for numbers

    @property
    def words(self) -> list[Any]:
        """The labels or numbers themselves."""
        return [self.labels[k] for k in self.values.tolist()] if self.labels else self.values.tolist()


class Graphs(NamedTuple):
    """G undirected graphs, one after the other: V nodes and E edges in all."""

    sizes: np.ndarray  # (G,) int64, numbers of nodes
    edges: np.ndarray  # (E, 3) int64: graph, i, j with i < j, where nodes are numbered within their graph
    node: tuple[Attribute, ...] = ()
    edge: tuple[Attribute, ...] = ()  # at most one category
    labels: list[str] | None = None  # (G,), the class of each graph
    names: list[str] | None = None  # (G,), what to call each graph in a message: "row 7"

    @property
    def starts(self) -> np.ndarray:
        """(G,): the place of the first node of each graph among all nodes."""
        return np.cumsum(self.sizes) - self.sizes

    @property
    def edge_counts(self) -> np.ndarray:
        """(G,): the number of edges of each graph."""
        return np.bincount(self.edges[:, 0], minlength=len(self.sizes))

    @property
    def ends(self) -> np.ndarray:
        """(E, 2): the two ends of each edge, counted among all nodes."""
        return self.edges[:, 1:] + self.starts[self.edges[:, 0], None]

    @property
    def kinds(self) -> Attribute | None:
        """The category of edges; None if they have none."""
        return next((attribute for attribute in self.edge if attribute.labels), None)

    def name(self, place: int) -> str:
        """What to call a graph in a message."""
        return self.names[place] if self.names else f"graph {place + 1}"

    def take(self, places: np.ndarray | Sequence[int]) -> "Graphs":
        """Returns the graphs at `places`, in this order."""
        places = np.asarray(places, np.int64)
        counts = self.edge_counts
        nodes = runs(self.starts[places], self.sizes[places])
        rows = runs((np.cumsum(counts) - counts)[places], counts[places])
        edges = self.edges[rows].copy()
        edges[:, 0] = np.repeat(np.arange(len(places)), counts[places])
        return Graphs(
            self.sizes[places],
            edges,
            tuple(a._replace(values=a.values[nodes]) for a in self.node),
            tuple(a._replace(values=a.values[rows]) for a in self.edge),
            None if self.labels is None else [self.labels[k] for k in places],
            None if self.names is None else [self.names[k] for k in places],
        )

    def renumbered(self, new: np.ndarray) -> "Graphs":
        """Gives node v of all nodes the number new[v] within its graph: (V,), a permutation for each graph."""
        old = np.empty_like(new)
        old[new + np.repeat(self.starts, self.sizes)] = np.arange(len(new))
        ends = np.sort(new[self.ends], axis=1)
        edges = np.column_stack([self.edges[:, 0], ends])
        return self._replace(edges=edges, node=tuple(a._replace(values=a.values[old]) for a in self.node))


def runs(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns starts[0], starts[0] + 1, ... (counts[0] numbers), then the same for the other starts."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))


def joined(parts: Sequence[Graphs]) -> Graphs:
    """Returns all graphs of several collections that have the same attributes and labels of them."""
    firsts = np.cumsum([0, *(len(part.sizes) for part in parts)])
    edges = [part.edges + np.array([first, 0, 0]) for part, first in zip(parts, firsts, strict=False)]

    def each(attributes: Sequence[tuple[Attribute, ...]]) -> tuple[Attribute, ...]:
        same = zip(*attributes, strict=True)
        return tuple(one[0]._replace(values=np.concatenate([a.values for a in one])) for one in same)

    return Graphs(
        np.concatenate([part.sizes for part in parts]),
        np.concatenate(edges),
        each([part.node for part in parts]),
        each([part.edge for part in parts]),
        None if parts[0].labels is None else [label for part in parts for label in part.labels or ()],
    )


def from_pairs(here: np.ndarray, sizes: np.ndarray) -> Graphs:
    """Makes graphs without attributes from a flag for each pair of nodes i < j, row by row: (G, N (N - 1) / 2)."""
    nodes = round((1 + (1 + 8 * here.shape[1]) ** 0.5) / 2)
    i, j = np.triu_indices(nodes, 1)
    graph, pair = here.nonzero()
    return Graphs(np.asarray(sizes, np.int64), np.column_stack([graph, i[pair], j[pair]]).astype(np.int64))


def to_networkx(graphs: Graphs, label: str = "label") -> list[Any]:
    """Returns a `networkx.Graph` for each graph, with the attributes of nodes and edges, and the class as `label`."""
    nx = networkx()
    made = []
    node = [(a.name, a.words) for a in graphs.node]
    edge = [(a.name, a.words) for a in graphs.edge]
    lines = graphs.edges.tolist()
    first_node = first_edge = 0
    for place, (size, count) in enumerate(zip(graphs.sizes.tolist(), graphs.edge_counts.tolist(), strict=True)):
        graph = nx.Graph()
        if graphs.labels is not None:
            graph.graph[label] = graphs.labels[place]
        for k in range(size):
            graph.add_node(k, **{name: words[first_node + k] for name, words in node})
        for k in range(first_edge, first_edge + count):
            graph.add_edge(lines[k][1], lines[k][2], **{name: words[k] for name, words in edge})
        made.append(graph)
        first_node, first_edge = first_node + size, first_edge + count
    return made


def networkx() -> Any:
    """Imports networkx.

    Raises:
        UserError: it is not installed.
    """
    try:
        import networkx
    except ImportError as error:
        raise UserError("graphs need networkx: pip install 'genlab[graphs]'") from error
    return networkx
