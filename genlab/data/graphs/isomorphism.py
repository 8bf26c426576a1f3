"""Whether two graphs are the same but for the numbers of their nodes: a hash first, the exact test where hashes agree.

The hash refines the colours of nodes (B. Weisfeiler, A. Leman, "The reduction of a graph to canonical form and the
algebra which appears therein", 1968, https://www.iti.zcu.cz/wl2018/pdf/wl_paper_translation.pdf) for all graphs at
once, in array operations. networkx hashes one graph at a time, and other values in other versions.
"""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from genlab.data.graphs.graph import Graphs, joined, networkx, to_networkx
from genlab.errors import UserError

ROUNDS = 16  # more than separate random graphs; trees of 64 nodes may need more, then the exact test decides
PATIENCE = 50  # times that graphs are drawn again before a kind is found to have too few different ones


def colours(graphs: Graphs, rounds: int = ROUNDS) -> np.ndarray:
    """Returns a colour (V,) uint64 for each node, the same for nodes that correspond in isomorphic graphs.

    Categories of nodes and edges are taken into account, numbers are not.
    """
    colour = np.zeros(int(graphs.sizes.sum()), np.uint64)
    for attribute in graphs.node:
        if attribute.labels:
            colour = mixed(colour + attribute.values.astype(np.uint64) + np.uint64(1))
    kind = np.zeros(len(graphs.edges), np.uint64) if graphs.kinds is None else graphs.kinds.values.astype(np.uint64)
    kind = mixed(kind)
    a, b = graphs.ends.T
    with np.errstate(over="ignore"):
        for _ in range(rounds):
            near = np.zeros_like(colour)
            np.add.at(near, a, mixed(colour[b] + kind))
            np.add.at(near, b, mixed(colour[a] + kind))
            colour = mixed(colour * np.uint64(3) + near)
    return colour


def mixed(x: np.ndarray) -> np.ndarray:
    """Spreads uint64 numbers, bijectively: the finalizer of SplitMix64, as in `genlab.data.base.mix`."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hashes(graphs: Graphs) -> np.ndarray:
    """Returns a hash (G,) uint64 of each graph, equal for isomorphic graphs."""
    total = mixed(graphs.sizes.astype(np.uint64))
    with np.errstate(over="ignore"):
        np.add.at(total, np.repeat(np.arange(len(graphs.sizes)), graphs.sizes), mixed(colours(graphs)))
    return mixed(total)


def isomorphic(a: Graphs, b: Graphs) -> bool:
    """Returns whether two single graphs without attributes are isomorphic, exactly.

    The colours of `colours` narrow the search down, so that it is fast for all but highly regular graphs.
    """
    if a.sizes[0] != b.sizes[0] or len(a.edges) != len(b.edges):
        return False
    pair = to_networkx(joined([a, b]))
    both = np.split(colours(joined([a, b])), [int(a.sizes[0])])
    for graph, colour in zip(pair, both, strict=True):
        for node, value in enumerate(colour.tolist()):
            graph.nodes[node]["colour"] = value
    return networkx().vf2pp_is_isomorphic(*pair, node_label="colour")


def repeats(graphs: Graphs, known: Graphs | None = None) -> list[bool]:
    """Tells for each graph without attributes whether it is isomorphic to a known one; None: to an earlier one."""
    seen: dict[int, list[Graphs]] = defaultdict(list)
    if known is not None:
        _remember(known, seen)
    found = []
    for k, code in enumerate(hashes(graphs).tolist()):
        found.append(_known(graphs, k, seen.get(code, [])))
        if known is None and not found[-1]:
            seen[code].append(graphs.take([k]))
    return found


def disjoint(
    draw: Callable[[int, np.random.Generator], Graphs], counts: tuple[int, ...], seed: list[int]
) -> list[Graphs]:
    """Draws splits of which no two share a graph up to isomorphism; within a split, graphs may repeat.

    Args:
        draw: draws so many graphs.
        counts: graphs in each split, in whose order they are drawn.

    Raises:
        UserError: there are too few different graphs.
    """
    splits: list[Graphs] = []
    seen: dict[int, list[Graphs]] = defaultdict(list)  # earlier splits' graphs, by hash
    for number, count in enumerate(counts):
        rng = np.random.default_rng([*seed, number])
        kept, missing = [], count
        for _ in range(PATIENCE):
            drawn = draw(missing, rng)
            codes = hashes(drawn).tolist()
            new = [k for k, code in enumerate(codes) if not _known(drawn, k, seen.get(code, []))]
            kept.append(drawn.take(new))
            missing -= len(new)
            if not missing:
                break
        else:
            raise UserError(f"data.n: there are too few different graphs for splits of {counts}; lower it")
        splits.append(joined(kept))
        _remember(splits[-1], seen)
    return splits


def _remember(graphs: Graphs, seen: dict[int, list[Graphs]]) -> None:
    for k, code in enumerate(hashes(graphs).tolist()):
        seen[code].append(graphs.take([k]))


def _known(graphs: Graphs, k: int, alike: list[Graphs]) -> bool:
    return bool(alike) and any(isomorphic(graphs.take([k]), other) for other in alike)
