"""What graphs are compared by: histograms of degrees, clustering coefficients and eigenvalues, and counts of orbits."""

from functools import cached_property

import numpy as np

from genlab.metrics.graphs.batch import GraphBatch
from genlab.metrics.graphs.orbits import orbit_counts

CLUSTERING_BINS, SPECTRUM_BINS = 100, 200
LOWEST = -1e-5  # left end of the first bin of eigenvalues, so that 0 is inside


class Descriptors:
    """The four descriptors of graphs, one row a graph, each computed when it is first asked for.

    Graphs without nodes are left out, as by the papers.
    """

    def __init__(self, graphs: GraphBatch) -> None:
        self.graphs = graphs.take(graphs.sizes > 0)

    def __len__(self) -> int:
        return len(self.graphs)

    @cached_property
    def degree(self) -> np.ndarray:
        """(G, N): the share of nodes of each degree."""
        return shares(self.graphs.adjacency.sum(2), self.graphs.here, self.graphs.adjacency.shape[1])

    @cached_property
    def clustering(self) -> np.ndarray:
        """(G, 100): the shares of the nodes' clustering coefficients in equal bins of [0, 1]."""
        edges = np.linspace(0, 1, CLUSTERING_BINS + 1)
        return shares(bins(coefficients(self.graphs.adjacency), edges), self.graphs.here, CLUSTERING_BINS)

    @cached_property
    def spectrum(self) -> np.ndarray:
        """(G, 200): the shares of the eigenvalues of the normalised Laplacian in equal bins of [0, 2]."""
        edges = np.linspace(LOWEST, 2, SPECTRUM_BINS + 1)
        return shares(bins(eigenvalues(self.graphs), edges), self.graphs.here, SPECTRUM_BINS)

    @cached_property
    def orbit(self) -> np.ndarray:
        """(G, 15): how often a node is in each orbit, the mean over the nodes; see `orbits`."""
        return orbit_counts(self.graphs.adjacency).sum(1) / self.graphs.sizes[:, None]


def coefficients(adjacency: np.ndarray) -> np.ndarray:
    """The clustering coefficient of each node, 0 below two neighbours: (G, N, N) bool -> (G, N).

    It is the share of pairs of neighbours that are adjacent (D. J. Watts, S. H. Strogatz, "Collective dynamics of
    'small-world' networks", 1998, https://doi.org/10.1038/30918).
    """
    a = adjacency.astype(np.float64)
    degree, closed = a.sum(2), ((a @ a) * a).sum(2)  # two closed walks of three steps for each triangle
    return closed / np.maximum(degree * (degree - 1), 1)


def eigenvalues(graphs: GraphBatch) -> np.ndarray:
    """The eigenvalues of I - D^-½ A D^-½ in ascending order, those of missing nodes 0: (G, N).

    A node without neighbours has a row of zeros.
    """
    result = np.zeros(graphs.adjacency.shape[:2])
    for size in np.unique(graphs.sizes[graphs.sizes > 0]):
        chosen = graphs.sizes == size
        a = graphs.adjacency[chosen, :size, :size].astype(np.float64)
        degree = a.sum(2)
        root = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1)), 0)
        laplacian = np.eye(size) * (degree > 0)[:, :, None] - root[:, :, None] * a * root[:, None]
        result[chosen, :size] = np.linalg.eigvalsh(laplacian)
    return result


def bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The bin of each value; values beyond the ends, as by rounding errors, belong to the first and the last one."""
    return (np.searchsorted(edges, values, side="right") - 1).clip(0, len(edges) - 2)


def shares(places: np.ndarray, here: np.ndarray, count: int) -> np.ndarray:
    """A histogram for each row of `places` (G, N) in 0, ..., count - 1, over the nodes that are there: (G, count)."""
    row = np.broadcast_to(np.arange(len(places))[:, None], places.shape)[here]
    counts = np.bincount(row * count + places[here], minlength=len(places) * count).reshape(len(places), count)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)
