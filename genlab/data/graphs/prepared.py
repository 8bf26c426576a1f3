"""Makes splits of packed graphs from graphs that were read: leaves out those that cannot be learnt, and says so."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genlab.data.base import Split, digest
from genlab.data.files import several
from genlab.data.graphs.graph import Attribute, Graphs
from genlab.data.graphs.node_order import ordered
from genlab.data.graphs.packing import fields_of, pack_graphs
from genlab.data.graphs.source import GraphSource
from genlab.data.graphs.summary import attributes_of, content, shape_of
from genlab.data.labels import classes
from genlab.data.splits import cut, plan
from genlab.errors import UserError, within

LARGEST = 8 * 2**30  # bytes of packed graphs
MANY = 50  # nodes, from which on a few large graphs make all updates slow


class Prepared(NamedTuple):
    """What a data set of graphs consists of."""

    splits: dict[str, Split]
    arguments: dict[str, Any]  # further arguments of `Dataset`
    notes: list[str]


def prepared(
    graphs: Graphs,
    file: Path,
    source: GraphSource,
    max_nodes: int | None,
    rare: int | None,
    order: str,
    validation: float,
    test: float,
    what: str = "graphs",
) -> Prepared:
    """Chooses the graphs to learn, splits them class by class, and packs them.

    Args:
        source: what samples are written like, see `Spec`.
        max_nodes: graphs with more nodes are left out; None: none are.
        rare: graphs with a label of nodes or edges that fewer graphs have are left out; None: one in 5,000 graphs, but
            at least 2 and at most 10.
        order: see `ordered`.
        what: what to call the graphs.

    Raises:
        UserError: more than half of the graphs would be left out, no edge is left, or packed graphs are too large.
    """
    notes: list[str] = []
    graphs = _small(graphs, file, max_nodes, notes, what)
    graphs = _common(graphs, file, rare, notes, what)
    if not len(graphs.edges):
        raise UserError(f"{file.name}: none of the {what} has an edge, so there is nothing to learn")
    graphs = ordered(graphs, order)
    nodes = int(graphs.sizes.max())
    y, labels = classes(file, graphs.labels, source.label or "label")
    places, sizes = plan(len(graphs.sizes), y, validation, test)
    graphs = graphs.take(places.numpy())
    graphs = _varying(graphs, sizes[0], file, notes)
    fields = fields_of(graphs.take(range(sizes[0])))
    numbers = sum(f.size * (nodes if f.part == "node" else nodes * (nodes - 1) // 2) for f in fields)
    if (needed := 4 * numbers * len(graphs.sizes)) > LARGEST:
        raise UserError(
            f"{file.name}: {len(graphs.sizes):,} {what} of up to {nodes} nodes would take {needed >> 30:,} GiB; leave "
            f"the largest out: data.max_nodes={nodes // 2}"
        )
    if (common := int(np.quantile(graphs.sizes, 0.95, method="higher"))) <= nodes / 2 and nodes > MANY:
        notes.append(
            f"  nets compute on all {nodes * (nodes - 1) // 2:,} pairs of {nodes} nodes, but 95 % of the {what} have "
            f"at most {common}: data.max_nodes={common} is faster"
        )
    y = None if y is None else y[places]
    arguments = {
        "fields": fields,
        "classes": len(labels),
        "labels": labels,
        "fingerprint": digest(content([graphs]), list(sizes)),
        "nodes": nodes,
        "source": source,
    }
    lines = [f"{file.name}: {shape_of(graphs).replace('graphs', what, 1)}", *attributes_of(graphs), *notes]
    return Prepared(cut(pack_graphs(graphs, fields, nodes), y, sizes), arguments, lines)


def _small(graphs: Graphs, file: Path, max_nodes: int | None, notes: list[str], what: str) -> Graphs:
    """Leaves out graphs of more than `max_nodes` nodes."""
    if max_nodes is None:
        return graphs
    within("max_nodes", max_nodes, 2)
    large = graphs.sizes > max_nodes
    if 2 * large.sum() > len(large):
        raise UserError(
            f"data.max_nodes: {large.sum():,} of {len(large):,} {what} of {file.name} have more than {max_nodes} "
            f"nodes; half of them have {int(np.median(graphs.sizes))} or more, the largest {graphs.sizes.max()}"
        )
    if large.any():
        notes.append(f"  left out: {counted(int(large.sum()), what)} of more than {max_nodes} nodes (data.max_nodes)")
    return graphs.take(np.flatnonzero(~large)) if large.any() else graphs


def _common(graphs: Graphs, file: Path, rare: int | None, notes: list[str], what: str) -> Graphs:
    """Leaves out graphs with rare labels of nodes or edges, and then labels that no graph has."""
    total = len(graphs.sizes)
    least = min(10, max(2, total // 5000)) if rare is None else rare
    within("rare", least, 0)
    found: dict[str, int] = {}
    while rarely := _rare(graphs, least):
        found |= {f"{name} '{word}' in {count}": count for name, word, count, _ in rarely}
        gone = np.unique(np.concatenate([places for *_, places in rarely]))
        graphs = graphs.take(np.setdiff1d(np.arange(len(graphs.sizes)), gone))
        left = total - len(graphs.sizes)
        rarest = several(sorted(found, key=lambda text: found[text]), 8, what="kind")
        if 2 * left > total:
            raise UserError(
                f"{file.name}: {left:,} of {total:,} {what} have kinds that fewer than {least} {what} have: {rarest}; "
                f"to keep rare kinds: data.rare=1"
            )
    if found:
        few = f"kinds that fewer than {least} have: {rarest}"
        notes.append(f"  left out: {counted(left, what)} with {few}; data.rare=1 keeps them")
    return graphs._replace(node=tuple(map(_used, graphs.node)), edge=tuple(map(_used, graphs.edge)))


def counted(n: int, what: str) -> str:
    """Returns a number with its noun, which is given in the plural: "1 graph", "2 graphs"."""
    return f"{n:,} {what if n != 1 else what.removesuffix('s')}"


def _rare(graphs: Graphs, least: int) -> list[tuple[str, str, int, np.ndarray]]:
    """The rare labels: name of the attribute, label, number of graphs, and their places."""
    rows = {"node": np.repeat(np.arange(len(graphs.sizes)), graphs.sizes), "edge": graphs.edges[:, 0]}
    found = []
    for part, attributes in (("node", graphs.node), ("edge", graphs.edge)):
        for attribute in attributes:
            if not (kinds := len(attribute.labels)):
                continue
            pairs = np.unique(rows[part] * kinds + attribute.values)
            for k, word in enumerate(attribute.labels):
                places = pairs[pairs % kinds == k] // kinds
                if 0 < len(places) < least:
                    found.append((attribute.name, word, len(places), places))
    return found


def _used(attribute: Attribute) -> Attribute:
    """An attribute without the labels that do not occur."""
    if not attribute.labels:
        return attribute
    used, values = np.unique(attribute.values, return_inverse=True)
    return attribute._replace(values=values, labels=tuple(attribute.labels[k] for k in used))


def _varying(graphs: Graphs, training: int, file: Path, notes: list[str]) -> Graphs:
    """Leaves out numbers that are the same everywhere in the first `training` graphs."""
    train = graphs.take(range(training))
    constant = [
        a.name for a in (*train.node, *train.edge) if not a.labels and (len(a.values) == 0 or not a.values.std())
    ]
    if constant:
        notes.append(f"  left out: {several(constant)}, the same number everywhere in training")
    keep = [tuple(a for a in part if a.name not in constant) for part in (graphs.node, graphs.edge)]
    return graphs._replace(node=keep[0], edge=keep[1])
