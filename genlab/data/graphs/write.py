"""Writes graphs in the format of the source they were learnt from."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from genlab.data.files import note
from genlab.data.graphs.adjacency import adjacency
from genlab.data.graphs.edge_list import edge_list
from genlab.data.graphs.graph import Graphs, joined, to_networkx
from genlab.data.graphs.graphml import LABEL, graphml
from genlab.data.graphs.packing import unpack_graphs
from genlab.data.graphs.source import GraphSource, of_molecules
from genlab.data.graphs.tudataset import tudataset
from genlab.data.spec import Spec
from genlab.runs.files import write_atomically

SUFFIXES = {"graphml": ".zip", "tudataset": ".zip", "edges": ".csv", "smiles": ".csv", "npz": ".npz"}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of all files in an archive, so that the same graphs give the same bytes
Chunk = tuple[Tensor, Tensor | None]  # packed graphs in units (B, P), and their classes (B,), if the model draws any


def suffix(spec: Spec) -> str:
    """The ending of the file that `write` makes: of GraphML and TUDatasets an archive."""
    source = format_of(spec)
    tabs = source.delimiter == "\t" and source.format in ("edges", "smiles")
    return ".tsv" if tabs else SUFFIXES[source.format]


def format_of(spec: Spec) -> GraphSource:
    """The source of graphs from a file, and that of generated ones."""
    assert isinstance(spec.source, GraphSource)
    return spec.source


def write(path: Path, spec: Spec, chunks: Iterable[Chunk]) -> int:
    """Writes packed graphs; returns their number, and prints what the file does not show.

    An older file of that name stays until all are written.

    Raises:
        OSError: the file cannot be written.
    """
    graphs = joined([unpacked(spec, units, y) for units, y in chunks])
    content, lines = written(graphs, format_of(spec), spec.nodes)
    write_atomically(path, content)
    for line in lines:
        note(f"{path.name}: {line}")
    return len(graphs.sizes)


def unpacked(spec: Spec, units: Tensor, y: Tensor | None = None) -> Graphs:
    """Reads packed graphs in units (B, P) as graphs with the names of their classes y (B,)."""
    graphs = unpack_graphs(units, spec)
    return graphs if y is None else graphs._replace(labels=[spec.class_name(k) for k in y.tolist()])


def objects(spec: Spec, units: Tensor, y: Tensor | None = None) -> list[Any]:
    """Packed graphs in units (B, P) as networkx graphs; molecules as SMILES, also of those that are not valid."""
    graphs = unpacked(spec, units, y)
    if of_molecules(spec.source):
        from genlab.data.graphs.smiles import to_text

        return [text for text, _ in to_text(graphs)]
    return to_networkx(graphs, (format_of(spec).label if spec.source else "") or LABEL)


def written(graphs: Graphs, source: GraphSource, nodes: int) -> tuple[bytes, list[str]]:
    """Returns the content of a file with these graphs, and lines on what it does not show.

    Args:
        nodes: the largest number of nodes.
    """
    if source.format == "smiles":
        from genlab.data.graphs.smiles import smiles_table

        return smiles_table(graphs, source)
    if source.format == "edges":
        alone = int((graphs.edge_counts == 0).sum())
        isolated = int(graphs.sizes.sum()) - len({tuple(end) for end in _ends(graphs)})
        lines = [f"{isolated:,} nodes without edges ({alone:,} graphs have none) are not in an edge list"] * (
            isolated > 0
        )
        return edge_list(graphs, source).encode(), lines
    if source.format == "npz":
        return adjacency(graphs, nodes, source), []
    if source.format == "tudataset":
        return zipped(tudataset(graphs, source.name)), []
    digits = len(str(len(graphs.sizes) - 1))
    names = [f"{k:0{digits}}.graphml" for k in range(len(graphs.sizes))]
    return zipped(graphml(graphs, names, source.label or LABEL)), []


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
