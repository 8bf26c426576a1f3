"""Edges as files state them, in either or both directions, made into undirected graphs; what cannot be is refused."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from genlab.data.files import several
from genlab.data.graphs.graph import Attribute, Graphs
from genlab.errors import UserError


class RawEdges(NamedTuple):
    """Graphs as a file states them."""

    file: str  # for messages
    sizes: np.ndarray  # (G,) int64, numbers of nodes
    edges: np.ndarray  # (R, 3) int64: graph, from, to, numbered within their graph
    names: list[str]  # (G,) of the graphs
    where: Callable[[int], str]  # the place of row r in the file: "line 7"
    node_name: Callable[[int, int], str]  # what the file calls a node of a graph
    node: tuple[Attribute, ...] = ()
    edge: tuple[Attribute, ...] = ()  # values (R,)
    labels: list[str] | None = None
    twice: bool = False  # whether each edge must be there in both directions, as in a symmetric matrix


def cure(symmetrise: bool | None) -> str:
    """What a message about directed graphs says at its end."""
    if symmetrise is None:
        return "samples must be undirected"
    return "directed graphs cannot be learnt; data.symmetrise=true makes them undirected"


def undirected(raw: RawEdges, symmetrise: bool | None) -> Graphs:
    """Makes undirected graphs.

    Args:
        symmetrise: edges in one direction count as edges, and where two directions differ, the first one counts; None:
            they do not, and there is no option for it.

    Raises:
        UserError: there are no graphs, or empty ones, no edges, self-loops, repeated edges, or edges in one direction.
    """
    _check_graphs(raw)
    graph, a, b = raw.edges.T
    _refuse(raw, a == b, "self-loops", "remove them")
    most = int(raw.sizes.max())
    key = (graph * most + np.minimum(a, b)) * most + np.maximum(a, b)
    order = np.lexsort((np.arange(len(key)), a > b, key))
    again = np.zeros(len(key), bool)
    again[order[1:]] = (key[order][1:] == key[order][:-1]) & ((a > b)[order][1:] == (a > b)[order][:-1])
    _refuse(raw, again, "edges that are given more than once", "multigraphs cannot be learnt; keep one of them")
    unique, first, count = np.unique(key, return_index=True, return_counts=True)
    single = count == 1
    if not symmetrise:
        if single.any() and (raw.twice or not single.all()):
            _refuse(raw, single[np.searchsorted(unique, key)], "edges in one direction only", cure(symmetrise))
        for attribute in raw.edge:
            differs = attribute.values != attribute.values[first][np.searchsorted(unique, key)]
            _refuse(
                raw, differs, f"edges whose '{attribute.name}' differs between the two directions", cure(symmetrise)
            )
    edges = np.column_stack([graph, np.minimum(a, b), np.maximum(a, b)])[first]
    edge = tuple(attribute._replace(values=attribute.values[first]) for attribute in raw.edge)
    return Graphs(raw.sizes, edges, raw.node, edge, raw.labels, raw.names)


def _check_graphs(raw: RawEdges) -> None:
    if not len(raw.sizes):
        raise UserError(f"{raw.file} has no graphs")
    if empty := [raw.names[k] for k in np.flatnonzero(raw.sizes == 0)]:
        raise UserError(f"{raw.file}: graphs without nodes: {several(empty)}; remove them")
    if not len(raw.edges):
        raise UserError(f"{raw.file}: no graph has an edge, so there is nothing to learn")
    if len(kinds := [attribute.name for attribute in raw.edge if attribute.labels]) > 1:
        raise UserError(
            f"{raw.file}: edges can have one category, and these have {' and '.join(kinds)}; leave out all but one: "
            f"data.exclude=[{','.join(kinds[1:])}]"
        )


def _refuse(raw: RawEdges, wrong: np.ndarray, what: str, cure: str) -> None:
    """Refuses the rows that are flagged, if any; names the first few."""
    rows = np.flatnonzero(wrong).tolist()
    if not rows:
        return
    places = []
    for row in rows[:3]:
        graph, a, b = raw.edges[row].tolist()
        ends = "-".join(dict.fromkeys((raw.node_name(graph, a), raw.node_name(graph, b))))
        places.append(f"{ends} in {raw.names[graph]}" + (f" ({place})" if (place := raw.where(row)) else ""))
    more = f" and {len(rows) - 3:,} more" if rows[3:] else ""
    raise UserError(f"{raw.file}: {what}: {', '.join(places)}{more}; {cure}")
