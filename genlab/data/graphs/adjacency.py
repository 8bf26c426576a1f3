"""Graphs as arrays of adjacency matrices in .npz files, or one array in a .npy file.

adjacency    (G, N, N) integers, symmetric: 0 for no edge, else the kind of the edge; or flat, all entries of all
             matrices one after the other
sizes        (G,) numbers of nodes, which flat arrays need; without them, all N nodes are there
y            (G,) classes of the graphs
any other    (G, N), flat (V,), or (G, N, D), (V, D): categories (integers, text) or numbers of the nodes
NAME_labels  the labels of a category: entry k for the value k; of edges, entry k - 1 for the value k
"""

import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genlab.data.files import quoted
from genlab.data.graphs.archive import LARGEST
from genlab.data.graphs.attributes import guessed
from genlab.data.graphs.graph import Attribute, Graphs, runs
from genlab.data.graphs.raw_edges import RawEdges
from genlab.data.graphs.source import GraphSource
from genlab.data.labels import name_of
from genlab.errors import UserError, brief, choose

ADJACENCY, SIZES, CLASSES, LABELS, KIND = "adjacency", "sizes", "y", "_labels", "kind"
NAMES = (ADJACENCY, "adj", "A")


def read_adjacency(
    file: Path, key: str | None, label: str | None, exclude: Sequence[str]
) -> tuple[RawEdges, str, bool]:
    """Reads adjacency matrices, and returns the name of their array, and whether they were flat.

    Args:
        key: the name of the array of matrices; None: adjacency, adj, A, or the only array.
        label: "auto": the array y, if there is one; another array's name; None: no classes.
        exclude: arrays to leave out.

    Raises:
        UserError: the file is damaged or holds Python objects, or an array has a wrong shape or type.
    """
    arrays = _load(file)
    if key is None:
        key = next((name for name in NAMES if name in arrays), next(iter(arrays)) if len(arrays) == 1 else None)
        if key is None:
            raise UserError(
                f"data.key: {file.name} has {', '.join(arrays) or 'no arrays'}; name the adjacency matrices"
            )
    choose("data.key", key, arrays)
    for name, array in arrays.items():
        if array.dtype.kind not in "biufUS":
            raise UserError(f"{file.name}: '{name}' is an array of {array.dtype}; allowed are numbers and text")
    flat, sizes, cell = _matrices(file, key, arrays[key], arrays.get(SIZES))
    graph, a, b = cell
    values = arrays[key].ravel()[flat]
    name = "y" if label == "auto" else label
    if label not in (None, "auto"):
        choose("data.label", str(label), [name for name in arrays if name not in (key, SIZES)])
    taken = {key, SIZES, CLASSES, name, *exclude}
    node = [
        attribute
        for other, array in arrays.items()
        if other not in taken and not (other.endswith(LABELS) and other != LABELS)
        for attribute in _of_nodes(file, other, array, sizes, arrays.get(other + LABELS), arrays[key])
    ]
    return (
        RawEdges(
            file.name,
            sizes,
            np.column_stack([graph, a, b]),
            [f"graph {k}" for k in range(len(sizes))],
            lambda row: f"{key}[{graph[row]}, {a[row]}, {b[row]}]" if arrays[key].ndim == 3 else "",
            lambda place, node: str(node),
            tuple(node),
            _of_edges(file, key, values, arrays.get(key + LABELS)),
            _classes(file, str(name), arrays[str(name)], len(sizes)) if str(name) in arrays else None,
            twice=True,
        ),
        key,
        arrays[key].ndim == 1,
    )


def _load(file: Path) -> dict[str, np.ndarray]:
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if sum(member.file_size for member in archive.infolist()) > LARGEST:
                    raise UserError(f"{file.name}: unpacks to more than {LARGEST >> 30} GiB")
        loaded = np.load(file, allow_pickle=False)  # no pickle: loading one can run any code
        if isinstance(loaded, np.ndarray):
            return {ADJACENCY: loaded}
        with loaded as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        unsafe = "it holds Python objects, which are not loaded because they can run any code; store adjacency as one "
        unsafe += "array (G, N, N), or flat with sizes"
        reason = unsafe if "bject" in str(error) or "pickle" in str(error) else brief(error)
        raise UserError(f"{file.name} cannot be read as arrays: {reason}") from error


def _matrices(
    file: Path, key: str, x: np.ndarray, sizes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The places (R,) of the edges in the flat array, the sizes (G,), and graph, from and to of each edge."""
    if x.dtype.kind not in "biuf" or (x.dtype.kind == "f" and not (x == np.round(x)).all()):
        raise UserError(f"{file.name}: '{key}' must have integers, 0 for no edge and the kind of the edge otherwise")
    shape = f"'{key}' has the shape {x.shape}"
    if sizes is not None and (sizes.ndim != 1 or sizes.dtype.kind not in "iu" or (sizes < 0).any()):
        raise UserError(f"{file.name}: '{SIZES}' must be integers of at least 0, one for each graph")
    if x.ndim == 3 and x.shape[1] == x.shape[2]:
        given = np.full(len(x), x.shape[1]) if sizes is None else sizes
        if len(given) != len(x) or given.max(initial=0) > x.shape[1]:
            raise UserError(
                f"{file.name}: {shape}, but '{SIZES}' has {len(given)} numbers up to {given.max(initial=0)}"
            )
        graph, a, b = x.nonzero()
        outside = (a >= given[graph]) | (b >= given[graph])
        if outside.any():
            k = int(outside.argmax())
            raise UserError(
                f"{file.name}: {key}[{graph[k]}, {a[k]}, {b[k]}] is an edge, but graph {graph[k]} has only "
                f"{given[graph[k]]} nodes by '{SIZES}'"
            )
        return np.ravel_multi_index((graph, a, b), x.shape), given.astype(np.int64), (graph, a, b)
    if x.ndim == 1 and sizes is not None:
        given = sizes.astype(np.int64)
        squares = given**2
        if squares.sum() != len(x):
            raise UserError(f"{file.name}: {shape}, but the squares of '{SIZES}' add up to {squares.sum():,}")
        flat = x.nonzero()[0]
        graph = np.searchsorted(squares.cumsum(), flat, side="right")
        a, b = np.divmod(flat - (squares.cumsum() - squares)[graph], given[graph])
        return flat, given, (graph, a, b)
    raise UserError(f"{file.name}: {shape}; it must be (G, N, N), or flat with '{SIZES}' (G,)")


def _of_edges(file: Path, key: str, values: np.ndarray, labels: np.ndarray | None) -> tuple[Attribute, ...]:
    kinds = np.unique(values).astype(np.int64)
    if (kinds < 0).any() or len(kinds) > 100:
        raise UserError(f"{file.name}: '{key}' must have 0 for no edge, and 1, 2, ... for at most 100 kinds of edges")
    if labels is None and len(kinds) < 2:
        return ()
    words = [str(k) for k in range(1, int(kinds.max(initial=0)) + 1)] if labels is None else list(map(str, labels))
    if kinds.max(initial=0) > len(words):
        raise UserError(
            f"{file.name}: '{key}' has the value {kinds.max()}, but '{key}{LABELS}' has {len(words)} labels"
        )
    if labels is not None:
        return (Attribute(KIND, values.astype(np.int64) - 1, tuple(words)),)
    place = np.searchsorted(kinds, values.astype(np.int64))
    return (Attribute(KIND, place, tuple(str(k) for k in kinds)),)


def _of_nodes(
    file: Path, name: str, x: np.ndarray, sizes: np.ndarray, labels: np.ndarray | None, adjacency: np.ndarray
) -> list[Attribute]:
    """The attributes of nodes in an array: one, or D of them called name_1, name_2, ..."""
    padded = (len(sizes), *adjacency.shape[1:2]) if adjacency.ndim == 3 else (int(sizes.sum()),)
    if x.shape[: len(padded)] != padded or x.ndim > len(padded) + 1:
        raise UserError(
            f"{file.name}: '{name}' has the shape {x.shape}; arrays of nodes are {padded} or {(*padded, 'D')}; leave "
            f"it out: data.exclude=[{name}]"
        )
    rows = x.reshape(math.prod(padded), -1)
    starts = np.arange(len(sizes)) * adjacency.shape[1] if adjacency.ndim == 3 else np.cumsum(sizes) - sizes
    rows = rows[runs(starts, sizes)]
    if labels is not None:
        if rows.shape[1] > 1 or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(labels):
            raise UserError(
                f"{file.name}: '{name}' must be integers from 0 to {len(labels) - 1}, as '{name}{LABELS}' says"
            )
        return [Attribute(name, rows[:, 0].astype(np.int64), tuple(map(str, labels)))]
    graph = np.repeat(np.arange(len(sizes)), sizes)
    names = [name] if x.ndim == len(padded) else [f"{name}_{k + 1}" for k in range(rows.shape[1])]
    where = lambda k: f"node {k - (np.cumsum(sizes) - sizes)[graph[k]]} of graph {graph[k]}"  # noqa: E731
    return [guessed(file.name, each, rows[:, k].tolist(), where) for k, each in enumerate(names)]


def _classes(file: Path, name: str, y: np.ndarray, count: int) -> list[str]:
    if y.shape not in ((count,), (count, 1)):
        raise UserError(f"{file.name}: '{name}' has the shape {y.shape} for {count} graphs; it must be ({count},)")
    words = [name_of(value) for value in y.ravel().tolist()]
    if None in words:
        missing = [str(k) for k, word in enumerate(words) if word is None]
        raise UserError(f"{file.name}: '{name}': the label is missing for graph {quoted(missing)}")
    return [str(word) for word in words]


def adjacency(graphs: Graphs, nodes: int, source: GraphSource) -> bytes:
    """Writes graphs as the content of a .npz file that `read_adjacency` reads: (G, nodes, nodes), or flat."""
    kind = graphs.kinds
    values = np.ones(len(graphs.edges), np.uint8) if kind is None else (kind.values + 1).astype(np.uint8)
    graph, a, b = graphs.edges.T
    arrays: dict[str, np.ndarray] = {}
    sizes = graphs.sizes
    if source.flat:
        matrix = np.zeros(int((sizes**2).sum()), np.uint8)
        starts = (sizes**2).cumsum() - sizes**2
        matrix[starts[graph] + a * sizes[graph] + b] = values
        matrix[starts[graph] + b * sizes[graph] + a] = values
    else:
        matrix = np.zeros((len(sizes), nodes, nodes), np.uint8)
        matrix[graph, a, b] = values
        matrix[graph, b, a] = values
    arrays[source.key], arrays[SIZES] = matrix, sizes
    if kind is not None:
        arrays[source.key + LABELS] = np.array(kind.labels)
    row = np.repeat(np.arange(len(sizes)), sizes)
    column = np.arange(len(row)) - np.repeat(graphs.starts, sizes)
    for attribute in graphs.node:
        values = attribute.values if attribute.labels else attribute.values.astype(np.float32)
        if not source.flat:
            padded = np.zeros((len(sizes), nodes), values.dtype)
            padded[row, column] = values
            values = padded
        arrays[attribute.name] = values
        if attribute.labels:
            arrays[attribute.name + LABELS] = np.array(attribute.labels)
    if graphs.labels is not None:
        arrays[source.label or CLASSES] = np.array(graphs.labels)
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()
