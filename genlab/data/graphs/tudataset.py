"""Graphs in the format of the TUDatasets: a folder of text files, DS_A.txt and others.

C. Morris, N. M. Kriege, F. Bause, K. Kersting, P. Mutzel, M. Neumann, "TUDataset: A collection of benchmark datasets
for learning with graphs", 2020, https://arxiv.org/abs/2007.08663.
"""

import math
from collections.abc import Sequence

import numpy as np

from genlab.data.files import note
from genlab.data.graphs.archive import Archive
from genlab.data.graphs.attributes import category
from genlab.data.graphs.graph import Attribute, Graphs
from genlab.data.graphs.raw_edges import RawEdges
from genlab.data.labels import name_of
from genlab.errors import UserError

EDGES = "_A.txt"


def read_tudataset(archive: Archive, label: str | None, exclude: Sequence[str]) -> RawEdges:
    """Reads DS_A.txt and DS_graph_indicator.txt, and labels and attributes of nodes, edges and graphs, if present.

    Attributes are called node_label, edge_label (node_label_2, ... for further columns), node_attribute_1, ... and
    edge_attribute_1, ...

    Args:
        label: "auto" or None: whether the labels of graphs, if there are any, are read as classes.
        exclude: attributes to leave out.

    Raises:
        UserError: a file is missing, a line is not of the right form, or numbers of lines differ; the message has the
            file and the line.
    """
    sets = [name[: -len(EDGES)] for name in archive.ending(EDGES.lower())]
    if len(sets) > 1:
        raise UserError(f"{archive.name} has several data sets: {', '.join(sets)}; keep one")
    name = sets[0]
    if label not in (None, "auto"):
        raise UserError(f"data.label: '{label}' does not apply to TUDatasets; auto reads their graph labels")

    def lines(what: str, count: int | None = None) -> list[str] | None:
        file = f"{name}_{what}.txt"
        if file not in archive:
            return None
        found = archive.text(file).splitlines()
        while found and not found[-1].strip():
            found.pop()
        if count is not None and len(found) != count:
            raise UserError(f"{file} has {len(found):,} lines where {count:,} are needed, one for each {what[:4]}")
        return found

    indicator = lines("graph_indicator")
    if indicator is None:
        raise UserError(f"{archive.name}: {name}_graph_indicator.txt is missing")
    graph = integers(f"{name}_graph_indicator.txt", indicator, 1)[:, 0] - 1
    if len(graph) and graph.min() < 0:
        raise UserError(f"{name}_graph_indicator.txt: graphs are numbered from 1")
    graph_labels = lines("graph_labels")
    count = int(graph.max(initial=-1)) + 1
    if graph_labels is not None and len(graph_labels) < count:
        raise UserError(f"{name}_graph_labels.txt has {len(graph_labels):,} lines for {count:,} graphs")
    count = max(count, len(graph_labels or ()))
    order = np.argsort(graph, kind="stable")
    sizes = np.bincount(graph, minlength=count)
    local = np.empty_like(order)
    local[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = lines("A") or []
    edges = _edges(f"{name}{EDGES}", rows, graph, local)
    node = _attributes(f"{name}_node", lines("node_labels", len(graph)), lines("node_attributes", len(graph)), exclude)
    edge = _attributes(f"{name}_edge", lines("edge_labels", len(rows)), lines("edge_attributes", len(rows)), exclude)
    if f"{name}_graph_attributes.txt" in archive:
        note(f"{archive.name}: ignored: {name}_graph_attributes.txt")
    classes = None if label is None or graph_labels is None else _classes(f"{name}_graph_labels.txt", graph_labels)
    firsts = np.cumsum(sizes) - sizes
    return RawEdges(
        archive.name,
        sizes,
        edges,
        [f"graph {k + 1}" for k in range(count)],
        lambda row: f"line {row + 1} of {name}{EDGES}",
        lambda place, node: str(int(order[firsts[place] + node]) + 1),
        tuple(attribute._replace(values=attribute.values[order]) for attribute in node),
        tuple(edge),
        classes,
    )


def _edges(file: str, rows: Sequence[str], graph: np.ndarray, local: np.ndarray) -> np.ndarray:
    """The edges (R, 3): graph, from, to, numbered within the graph."""
    ends = integers(file, rows, 2) - 1
    for wrong, why in (
        (((ends < 0) | (ends >= len(graph))).any(1), f"nodes are numbered from 1 to {len(graph):,}"),
        (None, "the nodes belong to different graphs"),
    ):
        wrong = graph[ends[:, 0]] != graph[ends[:, 1]] if wrong is None else wrong
        if wrong.any():
            row = int(wrong.argmax())
            raise UserError(f"{file}: line {row + 1}: '{rows[row].strip()}': {why}")
    return np.column_stack([graph[ends[:, 0]], local[ends]])


def integers(file: str, rows: Sequence[str], columns: int) -> np.ndarray:
    """Reads lines of so many integers, separated by commas: (R, columns)."""
    values = np.empty((len(rows), columns), np.int64)
    for k, row in enumerate(rows):
        try:
            values[k] = [int(cell) for cell in row.split(",")]
        except (ValueError, OverflowError) as error:
            numbers = "an integer" if columns == 1 else f"{columns} integers separated by commas"
            raise UserError(f"{file}: line {k + 1}: '{row.strip()[:40]}' is not {numbers}") from error
    return values


def _attributes(
    stem: str, labels: Sequence[str] | None, numbers: Sequence[str] | None, exclude: Sequence[str]
) -> list[Attribute]:
    """The categories and numbers of nodes or edges: files stem_labels.txt and stem_attributes.txt."""
    part, made = stem.rsplit("_", 1)[1], []
    if labels is not None:
        for k, cells in enumerate(_columns(f"{stem}_labels.txt", labels)):
            name = f"{part}_label" + (f"_{k + 1}" if k else "")
            if name not in exclude:
                made.append(category(f"{stem}_labels.txt", name, cells))
    if numbers is not None:
        for k, cells in enumerate(_columns(f"{stem}_attributes.txt", numbers)):
            name = f"{part}_attribute_{k + 1}"
            if name not in exclude:
                made.append(Attribute(name, _floats(f"{stem}_attributes.txt", cells)))
    return made


def _columns(file: str, rows: Sequence[str]) -> list[list[str]]:
    """The cells of each column of lines of cells that commas separate."""
    cells = [[cell.strip() for cell in row.split(",")] for row in rows]
    for k, row in enumerate(cells):
        if len(row) != len(cells[0]) or "" in row:
            raise UserError(f"{file}: line {k + 1}: '{rows[k].strip()[:40]}' does not have {len(cells[0])} values")
    return [list(column) for column in zip(*cells, strict=True)]


def _floats(file: str, cells: Sequence[str]) -> np.ndarray:
    values = np.empty(len(cells))
    for k, cell in enumerate(cells):
        try:
            values[k] = float(cell)
        except ValueError:
            values[k] = math.nan
        if not math.isfinite(values[k]):
            raise UserError(f"{file}: line {k + 1}: '{cell[:40]}' is not a finite number")
    return values


def _classes(file: str, rows: Sequence[str]) -> list[str]:
    words = []
    for k, row in enumerate(rows):
        word = name_of(row)
        if word is None:
            raise UserError(f"{file}: line {k + 1}: the label is missing")
        words.append(word)
    return words


def tudataset(graphs: Graphs, name: str) -> dict[str, str]:
    """Writes graphs as the texts of a TUDataset, by file name; edges in both directions."""
    ends = graphs.ends + 1
    both = np.concatenate([ends, ends[:, ::-1]])
    order = np.lexsort((both[:, 1], both[:, 0]))
    texts = {
        "A": [f"{a}, {b}" for a, b in both[order].tolist()],
        "graph_indicator": [str(k) for k in np.repeat(np.arange(1, len(graphs.sizes) + 1), graphs.sizes)],
    }
    if graphs.labels is not None:
        texts["graph_labels"] = graphs.labels
    for part, attributes, rows in (("node", graphs.node, None), ("edge", graphs.edge, order % max(len(ends), 1))):
        for what, chosen in (
            ("labels", [a for a in attributes if a.labels]),
            ("attributes", [a for a in attributes if not a.labels]),
        ):
            if chosen:
                cells = list(zip(*(a.words for a in chosen), strict=True))
                cells = cells if rows is None else [cells[k] for k in rows]
                texts[f"{part}_{what}"] = [", ".join(map(_cell, row)) for row in cells]
    return {f"{name}_{what}.txt": "".join(f"{line}\n" for line in rows) for what, rows in texts.items()}


def _cell(value: object) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)
