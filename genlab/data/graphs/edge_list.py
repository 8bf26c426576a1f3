"""Graphs as one .csv file with a row for each edge: the graph, and the nodes at the two ends."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genlab.data.csv_file import guess_delimiter
from genlab.data.files import quoted, several
from genlab.data.graphs.attributes import guessed
from genlab.data.graphs.graph import Graphs
from genlab.data.graphs.raw_edges import RawEdges
from genlab.data.graphs.source import GraphSource
from genlab.data.labels import complete, name_of
from genlab.errors import UserError, brief, did_you_mean

COLUMNS = ("graph", "source", "target")  # options that name the columns, and their usual names


def read_edge_list(
    file: Path, ends: tuple[str, str, str], label: str | None, exclude: Sequence[str]
) -> tuple[RawEdges, str]:
    """Reads an edge list, and returns its delimiter as well; further columns are attributes of the edges.

    Args:
        ends: names of the columns of the graph and of the two ends of an edge.
        label: the column with the class of the graph, the same in all its rows; None or "auto": no classes.
        exclude: columns to leave out.

    Raises:
        UserError: a column does not exist, a cell is empty, a row has too few cells, or a graph has two labels; the
            message names the line.
    """
    names, lines, rows, delimiter = table(file)
    label = None if label == "auto" else label
    chosen = {f"data.{option}": name for option, name in zip(COLUMNS, ends, strict=True)}
    chosen |= {"data.label": label} if label else {}
    for option, name in chosen.items():
        if name not in names:
            raise UserError(
                f"{option}: {file.name} has no column '{name}'; its columns are {quoted(names)}"
                f"{did_you_mean(name, names)}"
            )
    cells = {name: [row[k].strip() for row in rows] for k, name in enumerate(names)}
    for name in ends:
        if "" in cells[name]:
            raise UserError(f"{file.name}: line {lines[cells[name].index('')]}, column '{name}': the cell is empty")
    graphs = {name: k for k, name in enumerate(dict.fromkeys(cells[ends[0]]))}
    nodes: list[dict[str, int]] = [{} for _ in graphs]
    edges = np.empty((len(rows), 3), np.int64)
    for k, (graph, a, b) in enumerate(zip(*(cells[name] for name in ends), strict=True)):
        known = nodes[graphs[graph]]
        edges[k] = graphs[graph], known.setdefault(a, len(known)), known.setdefault(b, len(known))

    def where(row: int) -> str:
        return f"line {lines[row]}"

    rest = [name for name in names if name not in (*chosen.values(), *exclude)]
    return (
        RawEdges(
            file.name,
            np.array([len(known) for known in nodes], np.int64),
            edges,
            [f"graph '{name}'" for name in graphs],
            where,
            lambda graph, node: list(nodes[graph])[node],
            edge=tuple(guessed(file.name, name, cells[name], where) for name in rest),
            labels=_classes(file, label, cells[label], edges[:, 0], lines, list(graphs)) if label else None,
        ),
        delimiter,
    )


def table(file: Path) -> tuple[list[str], list[int], list[list[str]], str]:
    """Reads a .csv file: names of the columns, the line of each row, the rows, and the delimiter.

    Raises:
        UserError: it cannot be read, a row has another number of cells than the header, or two columns have one name.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
        delimiter = guess_delimiter(text[:1_000_000])
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        found = [(reader.line_num, row) for row in reader if row]
    except UnicodeDecodeError as error:
        raise UserError(f"{file.name} is not UTF-8 text; save it as UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{file.name}: line {reader.line_num}: {brief(error)}") from error
    except OSError as error:
        raise UserError(f"data.path: cannot read {file}: {error.strerror}") from error
    if len(found) < 2:
        raise UserError(f"{file.name} has no rows below the names of its columns" if found else f"{file.name} is empty")
    names = [cell.strip() for cell in found[0][1]]
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise UserError(f"{file.name}: two columns are called {quoted(repeated)}")
    for line, row in found:
        if len(row) != len(names):
            raise UserError(f"{file.name}: line {line} has {len(row)} cells, but there are {len(names)} columns")
    return names, [line for line, _ in found[1:]], [row for _, row in found[1:]], delimiter


def _classes(
    file: Path, label: str, cells: Sequence[str], graph: np.ndarray, lines: Sequence[int], names: Sequence[str]
) -> list[str]:
    """The class of each graph, from one row of it."""
    words = complete(file, [name_of(cell) for cell in cells], label, lambda row: f"line {lines[row]}")
    found: dict[int, str] = {}
    for k, (place, word) in enumerate(zip(graph.tolist(), words, strict=True)):
        if found.setdefault(place, word) != word:
            raise UserError(
                f"{file.name}: line {lines[k]}: graph '{names[place]}' has the labels {several([found[place], word])}; "
                f"a graph has one"
            )
    return [found[k] for k in range(len(found))]


def edge_list(graphs: Graphs, source: GraphSource) -> str:
    """Writes graphs as an edge list with the names and the delimiter of the source; isolated nodes have no row."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=source.delimiter, lineterminator="\n")
    label = [source.label or "label"] if graphs.labels is not None else []
    writer.writerow([*source.ends, *(a.name for a in graphs.edge), *label])
    attributes = [[f"{v:.7g}" if isinstance(v, float) else v for v in a.words] for a in graphs.edge]
    for k, (graph, a, b) in enumerate(graphs.edges.tolist()):
        own = [] if graphs.labels is None else [graphs.labels[graph]]
        writer.writerow([graph, a, b, *(values[k] for values in attributes), *own])
    return out.getvalue()
