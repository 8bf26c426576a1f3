"""Writes graphs in the format of the source they were learnt from."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

from genlab.data.graphs.adjacency import adjacency
from genlab.data.graphs.edge_list import edge_list
from genlab.data.graphs.graph import Graphs
from genlab.data.graphs.graphml import LABEL, graphml
from genlab.data.graphs.tudataset import tudataset

SUFFIXES = {"graphml": ".zip", "tudataset": ".zip", "edges": ".csv", "smiles": ".csv", "npz": ".npz"}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of all files in an archive, so that the same graphs give the same bytes


def suffix(source: Mapping[str, Any]) -> str:
    """The ending of the file that `written` makes."""
    return SUFFIXES[source.get("format", "npz")]


def written(graphs: Graphs, source: Mapping[str, Any], nodes: int) -> tuple[bytes, list[str]]:
    """Returns the content of a file with these graphs, and lines on what it does not show.

    Args:
        source: what the file is to look like; "format": graphml (an archive with a file for each graph), tudataset (an
            archive), edges (an edge list), smiles, or npz (adjacency matrices, also for generated graphs).
        nodes: the largest number of nodes.
    """
    kind = source.get("format", "npz")
    if kind == "smiles":
        from genlab.data.graphs.smiles import smiles_table

        return smiles_table(graphs, source)
    if kind == "edges":
        alone = int((graphs.edge_counts == 0).sum())
        isolated = int(graphs.sizes.sum()) - len({tuple(end) for end in _ends(graphs)})
        lines = [f"{isolated:,} nodes without edges ({alone:,} graphs have none) are not in an edge list"] * (
            isolated > 0
        )
        return edge_list(graphs, source).encode(), lines
    if kind == "npz":
        return adjacency(graphs, nodes, bool(source.get("flat"))), []
    if kind == "tudataset":
        return zipped(tudataset(graphs, source["name"])), []
    digits = len(str(len(graphs.sizes) - 1))
    names = [f"{k:0{digits}}.graphml" for k in range(len(graphs.sizes))]
    return zipped(graphml(graphs, names, source.get("label", LABEL))), []


def _ends(graphs: Graphs) -> list[list[int]]:
    """All nodes that are the end of an edge, as [graph, node]."""
    return [*graphs.edges[:, [0, 1]].tolist(), *graphs.edges[:, [0, 2]].tolist()]


def zipped(texts: Mapping[str, str]) -> bytes:
    """Returns the content of an archive with these texts, by file name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()
