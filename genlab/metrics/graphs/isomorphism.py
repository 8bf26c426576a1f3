"""Which graphs are the same but for the numbers of their nodes, and with what shares they are drawn.

Graphs are sorted by a hash that isomorphic graphs share (B. Weisfeiler, A. Leman, "The reduction of a graph to
canonical form and the algebra which appears therein", 1968, https://www.iti.zcu.cz/wl2018/pdf/wl_paper_translation.pdf)
and compared exactly within a hash. Categories of nodes and of edges count, numbers do not.
"""

from typing import Any

import numpy as np

from genlab.data.graphs.graph import networkx
from genlab.metrics.graphs.batch import GraphBatch

ROUNDS = 8  # of the colours that narrow the exact comparison down
FEW = 12  # nodes up to which colours cost more than they save


def to_networkx(graphs: GraphBatch) -> list[Any]:
    """Returns a `networkx.Graph` for each graph, whose nodes have their categories as one text, `label`.

    If edges are of several kinds, each edge becomes a node between its ends, with its kind as the label.
    """
    nx = networkx()
    node = [a for a in graphs.node if a.labels]
    kinds = [a for a in graphs.edge if a.labels]
    made = []
    for k, size in enumerate(graphs.sizes.tolist()):
        graph = nx.Graph()
        words = zip(*(a.values[k, :size].tolist() for a in node), strict=True) if node else [()] * size
        graph.add_nodes_from((v, {"label": f"node {word}"}) for v, word in enumerate(words))
        lines = np.argwhere(np.triu(graphs.adjacency[k], 1)).tolist()
        if kinds:
            for number, (a, b) in enumerate(lines, start=size):
                graph.add_node(number, label=f"edge {[int(each.values[k, a, b]) for each in kinds]}")
                graph.add_edges_from(((a, number), (number, b)))
        else:
            graph.add_edges_from(lines)
        made.append(graph)
    return made


class Classes:
    """Numbers the isomorphism classes of graphs in the order in which they are first seen."""

    def __init__(self) -> None:
        self.count = 0
        self._seen: dict[str, list[tuple[int, Any]]] = {}  # by hash, the number and a graph of each class

    def numbers(self, graphs: GraphBatch) -> np.ndarray:
        """Returns the class of each graph: (G,) int64. Classes that were not seen before are added.

        Raises:
            UserError: networkx is not installed.
        """
        return np.array([self._number(graph) for graph in to_networkx(graphs)], np.int64)

    def _number(self, graph: Any) -> int:
        code = networkx().weisfeiler_lehman_graph_hash(graph, node_attr="label")
        alike = self._seen.setdefault(code, [])
        for number, other in alike:
            if isomorphic(graph, other):
                return number
        alike.append((self.count, graph))
        self.count += 1
        return self.count - 1


def isomorphic(a: Any, b: Any) -> bool:
    """Returns whether two graphs whose nodes have a `label` are isomorphic, exactly."""
    nx = networkx()
    if not (len(a) and len(b)):
        return len(a) == len(b)  # networkx finds no isomorphism between two graphs without nodes
    if max(len(a), len(b)) <= FEW:
        return nx.vf2pp_is_isomorphic(a, b, node_label="label")
    for graph in (a, b):
        if "coloured" not in graph.graph:
            colours = nx.weisfeiler_lehman_subgraph_hashes(
                graph, node_attr="label", iterations=ROUNDS, include_initial_labels=True
            )
            nx.set_node_attributes(graph, {node: each[-1] for node, each in colours.items()}, "colour")
            graph.graph["coloured"] = True
    return nx.vf2pp_is_isomorphic(a, b, node_label="colour")


def novelty(fake: np.ndarray, known: int) -> dict[str, float]:
    """The shares of different and of new graphs among samples of classes `fake` (G,); those below `known` are not new.

    Raises:
        ValueError: there are no samples.
    """
    if not len(fake):
        raise ValueError("needs samples")
    return {"unique": len(np.unique(fake)) / len(fake), "novel": float((fake >= known).mean())}


def class_measures(fake: np.ndarray, shares: np.ndarray) -> dict[str, float]:
    """Compares the shares of isomorphism classes among samples with those of a known distribution.

        KL(q || p) = Σ_c q_c log (q_c / p_c)      in nats, q the shares among the samples whose class p knows

    With n samples of K equally probable classes, KL is about (K - 1) / 2n for a perfect model.

    Args:
        fake: (G,) the class of each sample; those from K on are not known.
        shares: (K,) p.

    Raises:
        ValueError: no sample is of a known class.
    """
    inside = (fake < len(shares)) & np.append(shares > 0, False)[np.minimum(fake, len(shares))]
    if not inside.any():
        raise ValueError("no sample is isomorphic to a known graph")
    q = np.bincount(fake[inside], minlength=len(shares)) / inside.sum()
    drawn = q > 0
    return {
        "class_kl": float((q[drawn] * np.log(q[drawn] / shares[drawn])).sum()),
        "class_known": float(inside.mean()),
        "class_covered": float(shares[drawn].sum()),
    }
