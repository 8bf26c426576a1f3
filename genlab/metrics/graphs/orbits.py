"""Counts the orbits of the nodes in all connected induced subgraphs of two to four nodes.

An orbit is a role in a small graph: the end or the middle of a path, the centre of a star. There are 15, numbered as by
N. Pržulj, "Biological network comparison using graphlet degree distribution", 2007,
https://doi.org/10.1093/bioinformatics/btl301:

    0 edge          1 end, 2 middle of a path of three      3 triangle      4 end, 5 inner node of a path of four
    6 leaf, 7 centre of a star          8 cycle of four     9 tail, 10 far node, 11 junction of a triangle with a tail
    12 node of degree 2, 13 node of degree 3 of a cycle of four with one chord          14 complete graph of four

With degrees d, t triangles at each node and T triangles at each edge, most sums over neighbours, such as
Σ_j A_ij C(d_j - 1, 2), count subgraphs that need not be induced: a star with centre j and leaf i is found in denser
graphs of four nodes as well. How often follows by hand for each of them, so that the induced counts come one after the
other, the densest first. Only complete graphs of four are counted by enumeration, as triangles among the neighbours of
a node. T. Hočevar, J. Demšar, "A combinatorial approach to graphlet counting", 2014,
https://doi.org/10.1093/bioinformatics/btt717, solve such equations for sparse graphs.
"""

import numpy as np

ORBITS = 15
ENTRIES = 20_000_000  # numbers in memory at once


def orbit_counts(adjacency: np.ndarray) -> np.ndarray:
    """Counts how often each node is in each orbit: (G, N, N) bool -> (G, N, 15) float64, exact integers."""
    graphs, nodes, _ = adjacency.shape
    result = np.zeros((graphs, nodes, ORBITS))
    if not result.size:
        return result
    widest = max(int(adjacency.sum(2).max()), 1)
    step = max(ENTRIES // (nodes * max(widest**2, nodes)), 1)
    for start in range(0, graphs, step):
        result[start : start + step] = _counts(adjacency[start : start + step])
    return result


def _counts(adjacency: np.ndarray) -> np.ndarray:
    a = adjacency.astype(np.float64)
    d = a.sum(2)
    paths = a @ a  # C, paths of two steps, or common neighbours
    paths[:, range(a.shape[1]), range(a.shape[1])] = 0
    triangles = paths * a  # T, those at each edge
    t = triangles.sum(2) / 2

    def near(x: np.ndarray) -> np.ndarray:
        """Σ_j A_ij x_j."""
        return (a @ x[..., None])[..., 0]

    o14 = complete(adjacency)
    # Pairs of common neighbours of i and j that are not adjacent.
    o13 = pairs(triangles).sum(2) - 3 * o14
    # Triangles (i, j, k), with another common neighbour of j and k.
    o12 = ((a @ triangles) * a).sum(2) / 2 - t - 3 * o14
    o11 = t * (d - 2) - 2 * o13 - 3 * o14
    o10 = (triangles @ d[..., None])[..., 0] - 4 * t - 2 * o12 - 2 * o13 - 6 * o14
    o9 = near(t) - 2 * t - 2 * o12 - 3 * o14
    o8 = pairs(paths).sum(2) - o12 - o13 - 3 * o14
    o7 = d * (d - 1) * (d - 2) / 6 - o11 - o13 - o14
    o6 = near(pairs(d - 1)) - o9 - o10 - 2 * o12 - o13 - 3 * o14
    o5 = (d - 1) * near(d - 1) - 2 * t - 2 * o8 - o10 - 2 * o11 - 2 * o12 - 4 * o13 - 6 * o14
    o4 = (paths @ (d - 1)[..., None])[..., 0] - 2 * t - 2 * o8 - 2 * o9 - o10 - 4 * o12 - 2 * o13 - 6 * o14
    o1 = near(d - 1) - 2 * t
    return np.stack([d, o1, pairs(d) - t, t, o4, o5, o6, o7, o8, o9, o10, o11, o12, o13, o14], axis=2)


def pairs(x: np.ndarray) -> np.ndarray:
    """C(x, 2), the number of pairs of x things."""
    return x * (x - 1) / 2


def complete(adjacency: np.ndarray) -> np.ndarray:
    """Counts the complete graphs of four nodes at each node: (G, N, N) bool -> (G, N)."""
    widest = max(int(adjacency.sum(2).max(initial=0)), 1)
    neighbours = np.argsort(~adjacency, axis=2, kind="stable")[:, :, :widest]  # (G, N, D), in front those that are
    real = np.take_along_axis(adjacency, neighbours, 2)
    graph = np.arange(len(adjacency))[:, None, None, None]
    among = adjacency[graph, neighbours[..., None], neighbours[:, :, None]]
    among = (among & real[..., None] & real[:, :, None]).astype(np.float32)  # exact: no sum is above D²
    return ((among @ among) * among).sum((2, 3), dtype=np.float64) / 6
