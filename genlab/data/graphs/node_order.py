"""Numbers the nodes of graphs in a canonical way, for models that generate one node after the other."""

import numpy as np

from genlab.data.graphs.graph import Graphs
from genlab.errors import choose

ORDERS = ("none", "bfs", "degree")


def ordered(graphs: Graphs, order: str) -> Graphs:
    """Numbers the nodes anew.

    Args:
        order: "none" keeps the numbers; "degree" sorts by falling degree; "bfs" is a breadth-first search from the node
            of the highest degree, of each component in turn, that visits neighbours by falling degree (J. You, R. Ying,
            X. Ren, W. Hamilton, J. Leskovec, "GraphRNN: Generating Realistic Graphs with Deep Auto-regressive Models",
            2018, https://arxiv.org/abs/1802.08773). Ties keep their order.

    Raises:
        UserError: there is no such order.
    """
    choose("order", order, ORDERS)
    if order == "none":
        return graphs
    degree = np.bincount(graphs.ends.ravel(), minlength=int(graphs.sizes.sum()))
    row = np.repeat(np.arange(len(graphs.sizes)), graphs.sizes)
    old = np.lexsort((np.arange(len(row)), -degree, row))
    new = np.empty_like(old)
    new[old] = np.arange(len(old)) - np.repeat(graphs.starts, graphs.sizes)
    graphs = graphs.renumbered(new)
    return graphs.renumbered(_breadth_first(graphs)) if order == "bfs" else graphs


def _breadth_first(graphs: Graphs) -> np.ndarray:
    """The turn (V,) of each node, where searches start at the lowest number and visit neighbours by their numbers."""
    near: list[list[int]] = [[] for _ in range(int(graphs.sizes.sum()))]
    for a, b in graphs.ends.tolist():
        near[a].append(b)
        near[b].append(a)
    new = np.full(len(near), -1, np.int64)
    for start, size in zip(graphs.starts.tolist(), graphs.sizes.tolist(), strict=True):
        turn = 0
        for root in range(start, start + size):
            if new[root] >= 0:
                continue
            queue = [root]
            new[root], turn = turn, turn + 1
            for node in queue:
                for other in sorted(near[node]):
                    if new[other] < 0:
                        new[other], turn = turn, turn + 1
                        queue.append(other)
    return new
