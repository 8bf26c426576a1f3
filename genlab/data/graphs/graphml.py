"""Graphs in GraphML files: https://graphml.graphdrawing.org. networkx reads and writes them."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from genlab.data.files import note, quoted
from genlab.data.graphs.archive import Archive
from genlab.data.graphs.attributes import guessed
from genlab.data.graphs.graph import Attribute, Graphs, networkx, to_networkx
from genlab.data.graphs.raw_edges import RawEdges, cure
from genlab.data.labels import name_of
from genlab.errors import UserError, brief, did_you_mean

SUFFIX = ".graphml"
LABEL = "label"  # what `to_networkx` calls the class of a graph


def read_graphml(
    archive: Archive, files: Sequence[str], label: str | None, exclude: Sequence[str], symmetrise: bool | None
) -> RawEdges:
    """Reads all graphs of GraphML files.

    Args:
        files: their names in the archive.
        label: the attribute of graphs with their classes; "auto": "label", if all graphs have it; None: no classes.
        exclude: attributes of nodes and edges to leave out.
        symmetrise: whether directed graphs are read.

    Raises:
        UserError: a file is damaged, declares a document type or entities, or has directed edges; an attribute is
            missing somewhere.
    """
    names, graphs = [], []
    for file in files:
        found = parsed(file, archive.text(file))
        graphs += found
        names += [file] if len(found) == 1 else [f"{file}, graph {k + 1}" for k in range(len(found))]
    return from_networkx(archive.name, names, graphs, label, exclude, symmetrise)


def from_networkx(
    file: str,
    names: list[str],
    graphs: Sequence[Any],
    label: str | None,
    exclude: Sequence[str],
    symmetrise: bool | None,
) -> RawEdges:
    """Takes the nodes, edges and attributes of networkx's graphs.

    Args:
        names: of the graphs, for messages; the rest as for `read_graphml`.

    Raises:
        UserError: a graph is directed, or an attribute is missing somewhere.
    """
    for name, graph in zip(names, graphs, strict=True):
        if graph.is_directed() and not symmetrise:
            raise UserError(f"{name}: the graph is directed; {cure(symmetrise)}")
    keys = [{node: k for k, node in enumerate(graph)} for graph in graphs]
    edges = [
        (place, keys[place][a], keys[place][b], values)
        for place, graph in enumerate(graphs)
        for a, b, values in graph.edges(data=True)
    ]
    where_node = [(place, node) for place, graph in enumerate(graphs) for node in graph]
    nodes = [dict(graph.nodes[node]) for graph in graphs for node in graph]
    return RawEdges(
        file,
        np.array([len(graph) for graph in graphs], np.int64),
        np.array([edge[:3] for edge in edges], np.int64).reshape(-1, 3),
        names,
        lambda row: "",
        lambda place, node: str(list(graphs[place])[node]),
        _attributes(file, nodes, exclude, lambda k: f"node {where_node[k][1]} of {names[where_node[k][0]]}"),
        _attributes(file, [edge[3] for edge in edges], (*exclude, "id"), lambda k: f"an edge of {names[edges[k][0]]}"),
        _classes(file, names, graphs, label),
    )


def parsed(file: str, text: str) -> list[Any]:
    """Parses a GraphML file into networkx's graphs.

    Raises:
        UserError: it is not GraphML, or declares a document type or entities, which could read other files or fill
            the memory.
    """
    nx = networkx()
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UserError(f"{file}: has a <!DOCTYPE> or <!ENTITY>, which is not read for safety; remove it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about keys without a type, which are read as text
            graphs = list(nx.readwrite.graphml.GraphMLReader()(path=io.BytesIO(text.encode())))
    except Exception as error:  # networkx raises whatever the damage leads to: ParseError, KeyError, ValueError, ...
        raise UserError(f"{file}: is not valid GraphML: {brief(error)}") from error
    if not graphs:
        raise UserError(f"{file}: has no <graph>, so it is not GraphML")
    return graphs


def _attributes(file: str, rows: Sequence[dict[str, Any]], exclude: Sequence[str], where: Any) -> tuple[Attribute, ...]:
    names = dict.fromkeys(name for row in rows for name in row if name not in exclude)
    found = [guessed(file, name, [row.get(name) for row in rows], where) for name in names]
    return tuple(found)


def _classes(file: str, names: Sequence[str], graphs: Sequence[Any], label: str | None) -> list[str] | None:
    if label is None:
        return None
    known = set().union(*(graph.graph.keys() for graph in graphs)) - {"node_default", "edge_default"}
    name = LABEL if label == "auto" else label
    words = [name_of(graph.graph.get(name, "")) for graph in graphs]
    if label == "auto":
        if None in words and name in known:
            note(
                f"{file}: not all graphs have a label, so none is read; data.label={LABEL} names the first without one"
            )
        return None if None in words else [str(word) for word in words]
    if name not in known:
        raise UserError(
            f"data.label: '{name}' is not an attribute of the graphs; they have {quoted(sorted(known)) or 'none'}"
            f"{did_you_mean(name, known)}"
        )
    if None in words:
        raise UserError(f"{file}: {names[words.index(None)]}: the label '{name}' is missing")
    return [str(word) for word in words]


def graphml(graphs: Graphs, names: Sequence[str], label: str = LABEL) -> dict[str, str]:
    """Writes each graph as the text of a GraphML file, by file name."""
    nx = networkx()
    made = to_networkx(graphs, label)
    return {name: "\n".join(nx.generate_graphml(graph)) + "\n" for name, graph in zip(names, made, strict=True)}
