"""Whether graphs are connected and planar, how large and dense they are, and what their nodes and edges are."""

from typing import Any

import numpy as np

from genlab.data.graphs.graph import networkx
from genlab.metrics.graphs.batch import CHUNK, GraphBatch
from genlab.metrics.tables.marginals import by_column
from genlab.metrics.tables.rows import Rows

CELLS = 500_000  # most nodes or edges whose attributes are compared


def connected(graphs: GraphBatch) -> np.ndarray:
    """Whether a path joins any two nodes of each graph: (G,) bool. A graph without nodes is not connected."""
    parts = [_connected(graphs.take(slice(k, k + CHUNK))) for k in range(0, len(graphs), CHUNK)]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def _connected(graphs: GraphBatch) -> np.ndarray:
    reached = np.zeros(graphs.adjacency.shape[:2], bool)
    reached[:, :1] = graphs.sizes[:, None] > 0
    a = graphs.adjacency.astype(np.float32)
    while True:
        further = reached | ((a @ reached[..., None].astype(np.float32))[..., 0] > 0)
        if (further == reached).all():
            return (reached.sum(1) == graphs.sizes) & (graphs.sizes > 0)
        reached = further


def planar(graphs: GraphBatch) -> np.ndarray:
    """Whether each graph can be drawn without crossings: (G,) bool.

    Raises:
        UserError: networkx is not installed.
    """
    return np.array([is_planar(adjacency) for adjacency in graphs.adjacency], bool)


def all_planar(graphs: GraphBatch) -> bool:
    """Whether all graphs are planar; stops at the first that is not."""
    return all(map(is_planar, graphs.adjacency))


def is_planar(adjacency: np.ndarray) -> bool:
    """Whether a graph (N, N) is planar, by the test of U. Brandes, "The Left-Right Planarity Test", 2009."""
    nx = networkx()
    lines = np.argwhere(np.triu(adjacency, 1))
    nodes = len(np.unique(lines))
    if nodes > 2 and len(lines) > 3 * nodes - 6:  # Euler's formula
        return False
    return nx.check_planarity(nx.Graph(lines.tolist()))[0]


def size_measures(fake: GraphBatch, real: GraphBatch) -> dict[str, float]:
    """Kolmogorov-Smirnov statistics of the numbers of nodes and of edges, and of the density.

    Raises:
        ValueError: there are no graphs on one side.
    """
    if not (len(fake) and len(real)):
        raise ValueError("needs graphs on each side")
    names = ("nodes_ks", "edges_ks", "density_ks")
    found = by_column(*(Rows(_sizes(graphs), names, (0, 0, 0)) for graphs in (fake, real)))
    return {name: found[name] for name in names}


def _sizes(graphs: GraphBatch) -> np.ndarray:
    pairs = graphs.sizes * (graphs.sizes - 1) / 2
    return np.stack([graphs.sizes, graphs.edge_counts, graphs.edge_counts / np.maximum(pairs, 1)], axis=1)


def attributes(fake: GraphBatch, real: GraphBatch) -> dict[str, float]:
    """The distance of each attribute's values over all nodes or edges: total variation of categories, KS of numbers."""
    found: dict[str, float] = {}
    for part in ("node", "edge"):
        x, y = fake.rows(part).head(CELLS), real.rows(part).head(CELLS)
        if len(x) and len(y) and x.names:
            # An attribute of edges may be called like one of nodes.
            found |= {f"{part} {name}": value for name, value in by_column(x, y).items()}
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def attribute_measures(fake: GraphBatch, real: GraphBatch) -> dict[str, float]:
    """The mean distance of the attributes of nodes and of edges, categories and numbers apart; {} without any."""
    distances = attributes(fake, real)
    found: dict[str, float] = {}
    parts: Any = (("node", real.node), ("edge", real.edge))
    for part, known in parts:
        for word, chosen in (("tv", [a for a in known if a.labels]), ("ks", [a for a in known if not a.labels])):
            values = [distances[name] for a in chosen if (name := f"{part} {a.name}") in distances]
            if values:
                found[f"{part}_{word}"] = float(np.mean(values))
    return found
