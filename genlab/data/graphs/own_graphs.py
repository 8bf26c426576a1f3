"""Your own graphs: TUDatasets, GraphML, edge lists, adjacency matrices."""

from collections.abc import Sequence
from pathlib import Path

from genlab.data.base import Dataset
from genlab.data.files import find
from genlab.data.graphs import graphml, tudataset
from genlab.data.graphs.adjacency import read_adjacency
from genlab.data.graphs.archive import Archive
from genlab.data.graphs.edge_list import COLUMNS, read_edge_list
from genlab.data.graphs.graph import Graphs
from genlab.data.graphs.node_order import ORDERS
from genlab.data.graphs.prepared import prepared
from genlab.data.graphs.raw_edges import RawEdges, undirected
from genlab.data.graphs.source import GraphSource
from genlab.errors import OptionError, UserError, choose

TEXT, ARRAYS = (".csv", ".tsv"), (".npz", ".npy")
SUFFIXES = (graphml.SUFFIX, *TEXT, *ARRAYS, ".zip")
PICKLES = (".pkl", ".pickle", ".p", ".gpickle", ".pt", ".pth", ".dat", ".bin")
CONTENT = "a TUDataset (DS_A.txt, DS_graph_indicator.txt, ...) or .graphml files"


class OwnGraphs(Dataset):
    """Graphs of your own: data.path=a TUDataset, .graphml files, an edge list (.csv), or adjacency matrices (.npz).

    Graphs are undirected, without self-loops and repeated edges. They are held out pseudo-randomly, class by class.

    Args:
        path: a folder or .zip of a TUDataset or of .graphml files; a .graphml file; a .csv or .tsv with a row for each
            edge; an .npz or .npy file, see `adjacency`.
        label: the classes of the graphs: "auto", those of a TUDataset, the attribute `label` of .graphml files or the
            array y; another attribute of graphs or array; the column of an edge list; None: no classes.
        key: the array of adjacency matrices; None: adjacency, adj, A or the only one.
        graph, source, target: the columns of an edge list.
        exclude: attributes to leave out.
        max_nodes: graphs with more nodes are left out; None: none are.
        symmetrise: whether directed edges are made undirected.
        rare: graphs with a kind of nodes or edges that fewer graphs have are left out; None: one in 5,000 graphs, but
            at least 2 and at most 10.
        order: how nodes are numbered: "none" (as in the file), "bfs" or "degree".
        validation, test: shares of the graphs, at least one each.

    Raises:
        UserError: a file cannot be read, an option does not fit it, or graphs cannot be learnt; the message says where.
    """

    def __init__(
        self,
        path: str,
        label: str | None = "auto",
        key: str | None = None,
        graph: str = "graph",
        source: str = "source",
        target: str = "target",
        exclude: Sequence[str] | None = None,
        max_nodes: int | None = None,
        symmetrise: bool = False,
        rare: int | None = None,
        order: str = "none",
        validation: float = 0.1,
        test: float = 0.1,
    ) -> None:
        choose("order", order, ORDERS)
        ends = (graph, source, target)
        graphs, found = read_graphs(path, label, key, ends, exclude or (), symmetrise)
        file = Path(path)
        made = prepared(graphs, file, found, max_nodes, rare, order, validation, test)
        super().__init__(file.name, made.splits, **made.arguments)
        self.notes = made.notes


def read_graphs(
    path: str,
    label: str | None = "auto",
    key: str | None = None,
    ends: tuple[str, str, str] = COLUMNS,
    exclude: Sequence[str] = (),
    symmetrise: bool | None = False,
) -> tuple[Graphs, GraphSource]:
    """Reads graphs from a file or folder of any kind, and what it looks like.

    Raises:
        UserError: see `OwnGraphs`.
    """
    raw, source = _read(path, label, key, ends, exclude, symmetrise)
    names = {attribute.name for attribute in (*raw.node, *raw.edge)}
    if repeated := {a.name for a in raw.node} & {a.name for a in raw.edge}:
        raise UserError(f"{raw.file}: nodes and edges both have '{min(repeated)}'; rename one, or data.exclude=[...]")
    if reserved := names & {"present", "edge"}:
        raise UserError(f"{raw.file}: the name '{min(reserved)}' is reserved; rename the attribute")
    return undirected(raw, symmetrise), source


def _read(
    path: str,
    label: str | None,
    key: str | None,
    ends: tuple[str, str, str],
    exclude: Sequence[str],
    symmetrise: bool | None,
) -> tuple[RawEdges, GraphSource]:
    own = label if label not in (None, "auto") else ""
    folder = Path(path).expanduser().is_dir()
    file = find(path, "folder" if folder else "file")
    suffix = file.suffix.lower()
    if suffix in PICKLES and not folder:
        raise UserError(
            f"data.path: {file.name} looks like a pickle, which can run any code when it is read; save the graphs as "
            f".graphml, .npz or .csv"
        )
    if not folder:
        choose("data.path: the ending", suffix, SUFFIXES)
    if key is not None and suffix not in ARRAYS:
        raise OptionError("key", f"does not apply to {suffix or 'folders'}; it names an array of an .npz file")
    if suffix in TEXT and not folder:
        raw, delimiter = read_edge_list(file, ends, label, exclude)
        return raw, GraphSource("edges", label=own, delimiter=delimiter, ends=ends)
    if suffix in ARRAYS and not folder:
        raw, key, flat = read_adjacency(file, key, label, exclude)
        return raw, GraphSource("npz", label=own, key=key, flat=flat)
    if suffix == graphml.SUFFIX and not folder:
        archive, files = Archive(file.parent), [file.name]
        archive.name = file.name
    else:
        archive = Archive(file)
        files = archive.ending(graphml.SUFFIX)
    if sets := archive.ending(tudataset.EDGES.lower()):
        if files:
            raise UserError(f"data.path: {file.name} has {sets[0]} and {files[0]}; keep one kind of files")
        raw = tudataset.read_tudataset(archive, label, exclude)
        return raw, GraphSource("tudataset", name=sets[0][: -len(tudataset.EDGES)])
    if not files:
        raise UserError(f"data.path: {file} has neither {CONTENT.replace(' or ', ' nor ')}")
    return graphml.read_graphml(archive, files, label, exclude, symmetrise), GraphSource("graphml", label=own)
