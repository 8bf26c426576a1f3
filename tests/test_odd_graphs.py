"""Graphs that cannot be learnt: one line that says where and what to do."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli

from genlab.data.graphs.molecules import MoleculeTable
from genlab.data.graphs.own_graphs import OwnGraphs
from genlab.errors import UserError


def fails(made: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        made()
    message = str(caught.value)
    assert "\n" not in message
    return message


# Edge lists

GOOD = "".join(f"{g},a,b\n{g},b,c\n" for g in range(12))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "e.csv is empty"),
        ("graph,source,target\n", {}, "e.csv has no rows below the names of its columns"),
        ("graph,from,target\n" + GOOD, {}, "data.source: e.csv has no column 'source'; its columns are 'graph'"),
        ("graph,source,taget\n" + GOOD, {}, "did you mean 'taget'?"),
        ("graph,source,target\n" + GOOD + "3,a\n", {}, "e.csv: line 26 has 2 cells, but there are 3 columns"),
        ("graph,source,target\n" + GOOD + "3,,a\n", {}, "e.csv: line 26, column 'source': the cell is empty"),
        ("graph,source,target\n" + GOOD + "3,a,a\n", {}, "e.csv: self-loops: a in graph '3' (line 26); remove them"),
        (
            "graph,source,target\n" + GOOD + "3,b,c\n",
            {},
            "e.csv: edges that are given more than once: b-c in graph '3' (line 26); multigraphs cannot be learnt",
        ),
        (
            "graph,source,target\n" + GOOD + "3,c,b\n",
            {},
            "e.csv: edges in one direction only: a-b in graph '0' (line 2), b-c in graph '0' (line 3), a-b in graph "
            "'1' (line 4) and 20 more; directed graphs cannot be learnt; data.symmetrise=true makes them undirected",
        ),
        (
            "graph,source,target,kind\n0,a,b,x\n0,b,a,y\n",
            {},
            "e.csv: edges whose 'kind' differs between the two directions: b-a in graph '0' (line 3)",
        ),
        (
            "graph,source,target,kind,sort\n0,a,b,x,y\n0,b,c,y,y\n",
            {},
            "edges can have one category, and these have kind and sort; leave out all but one: data.exclude=[sort]",
        ),
        (
            "graph,source,target,w\n0,a,b,1.5\n0,b,c,\n",
            {},
            "e.csv: 'w' is missing at line 3; fill it in, or leave it out",
        ),
        (
            "graph,source,target,w\n" + "".join(f"0,a,b{k},w{k}\n" for k in range(101)),
            {},
            "e.csv: 'w' has 101 different words; a category has at most 100; leave it out: data.exclude=[w]",
        ),
        (
            "graph,source,target,kind\n0,a,b,x\n0,b,c,y\n",
            {"label": "kind"},
            "e.csv: line 3: graph '0' has the labels x, y; a graph has one",
        ),
        (
            "graph,source,target,kind\n0,a,b,x\n1,b,c,\n",
            {"label": "kind"},
            "line 3, column 'kind': the label is missing",
        ),
        ("graph,source,target\n" + GOOD, {"label": "kind"}, "data.label: e.csv has no column 'kind'"),
        ("graph,source,target\n" + GOOD, {"key": "x"}, "key: does not apply to .csv"),
        (
            "graph,source,target\n" + GOOD,
            {"max_nodes": 2},
            "data.max_nodes: 12 of 12 graphs of e.csv have more than 2 nodes; half of them have 3 or more, the "
            "largest 3",
        ),
        ("graph,source,target\n" + GOOD, {"max_nodes": 1}, "max_nodes: must be >= 2, got 1"),
        ("graph,source,target\n0,a,b\n", {}, "1 samples are too few"),
        (
            "graph,source,target,w\n" + "".join(f"{k},a,b,k{k}\n" for k in range(12)),
            {},
            "12 of 12 graphs have kinds that fewer than 2 graphs have: w 'k0' in 1, ",
        ),
    ],
)
def test_edge_lists(text: str, options: dict, message: str, tmp_path: Path):
    (tmp_path / "e.csv").write_text(text)
    assert message in fails(lambda: OwnGraphs(str(tmp_path / "e.csv"), **options))


# TUDatasets

TU = {"A": "1, 2\n2, 1\n3, 4\n4, 3\n", "graph_indicator": "1\n1\n2\n2\n"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"graph_indicator": None}, "d: DS_graph_indicator.txt is missing"),
        ({"graph_indicator": "1\n1\n2\nx\n"}, "DS_graph_indicator.txt: line 4: 'x' is not an integer"),
        ({"graph_indicator": "0\n1\n2\n2\n"}, "graphs are numbered from 1"),
        ({"graph_indicator": "1\n1\n3\n3\n"}, "d: graphs without nodes: graph 2; remove them"),
        ({"A": "1, 2\n2, 9\n"}, "DS_A.txt: line 2: '2, 9': nodes are numbered from 1 to 4"),
        ({"A": "1, 2\n2, 3\n"}, "DS_A.txt: line 2: '2, 3': the nodes belong to different graphs"),
        ({"A": "1 2\n"}, "DS_A.txt: line 1: '1 2' is not 2 integers separated by commas"),
        ({"A": ""}, "d: no graph has an edge, so there is nothing to learn"),
        ({"A": "1, 2\n2, 1\n3, 4\n"}, "d: edges in one direction only: 3-4 in graph 2 (line 3 of DS_A.txt)"),
        ({"A": "1, 1\n"}, "d: self-loops: 1 in graph 1 (line 1 of DS_A.txt); remove them"),
        ({"node_labels": "1\n2\n"}, "DS_node_labels.txt has 2 lines where 4 are needed, one for each node"),
        ({"node_labels": "1\n2\n1, 2\n1\n"}, "DS_node_labels.txt: line 3: '1, 2' does not have 1 values"),
        ({"node_attributes": "1\n2\nnan\n1\n"}, "DS_node_attributes.txt: line 3: 'nan' is not a finite number"),
        ({"graph_labels": "a\n"}, "DS_graph_labels.txt has 1 lines for 2 graphs"),
        ({"graph_labels": "a\nNA\n"}, "DS_graph_labels.txt: line 2: the label is missing"),
    ],
)
def test_tudatasets(changed: dict[str, str | None], message: str, tmp_path: Path):
    folder = tmp_path / "d"
    folder.mkdir()
    for name, text in (TU | changed).items():
        if text is not None:
            (folder / f"DS_{name}.txt").write_text(text)
    assert message in fails(lambda: OwnGraphs(str(folder)))


# GraphML

GRAPHML = (
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    '<key id="k" for="node" attr.name="kind" attr.type="string"/><graph edgedefault="{mode}">'
    '<node id="a"><data key="k">x</data></node><node id="b">{b}</node>{edges}</graph></graphml>'
)


def graphml(
    mode: str = "undirected", b: str = '<data key="k">y</data>', edges: str = '<edge source="a" target="b"/>'
) -> str:
    return GRAPHML.format(mode=mode, b=b, edges=edges)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!DOCTYPE graphml [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + graphml(), "g.graphml: has a <!DOCTYPE>"),
        ("<graphml", "g.graphml: is not valid GraphML"),
        ("<a/>", "g.graphml: has no <graph>, so it is not GraphML"),
        (
            graphml("directed"),
            "g.graphml: the graph is directed; directed graphs cannot be learnt; data.symmetrise=true makes",
        ),
        (graphml(b=""), "g.graphml: 'kind' is missing at node b of g.graphml; fill it in, or leave it out"),
        (graphml(edges=""), "g.graphml: no graph has an edge"),
        (graphml(edges='<edge source="a" target="a"/>'), "g.graphml: self-loops: a in g.graphml; remove them"),
        (graphml(edges=2 * '<edge source="a" target="b"/>'), "edges that are given more than once: a-b in g.graphml"),
    ],
)
def test_graphml(text: str, message: str, tmp_path: Path):
    (tmp_path / "g.graphml").write_text(text)
    assert message in fails(lambda: OwnGraphs(str(tmp_path / "g.graphml")))


def test_graphml_of_another_encoding_cannot_hide_entities(tmp_path: Path):
    (tmp_path / "g.graphml").write_text("<!DOCTYPE a>" + graphml(), encoding="utf-16")
    assert "g.graphml is not UTF-8 text" in fails(lambda: OwnGraphs(str(tmp_path / "g.graphml")))
    for k in range(2):
        (tmp_path / "g.graphml").unlink(missing_ok=True)
        (tmp_path / f"{k}.graphml").write_text(graphml())
    message = fails(lambda: OwnGraphs(str(tmp_path), label="kind"))
    assert "data.label: 'kind' is not an attribute of the graphs; they have none" in message


# Arrays


def symmetric(n: int = 12) -> np.ndarray:
    x = np.zeros((n, 3, 3), np.uint8)
    x[:, 0, 1] = x[:, 1, 0] = x[:, 1, 2] = x[:, 2, 1] = 1
    return x


LOPSIDED, LOOP = symmetric(), symmetric()
LOPSIDED[4, 0, 2] = 1
LOOP[5, 1, 1] = 1


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"adjacency": np.array([None, 1], object)},
            "it holds Python objects, which are not loaded because they can run",
        ),
        ({"adjacency": symmetric()[0]}, "'adjacency' has the shape (3, 3); it must be (G, N, N), or flat with 'sizes'"),
        ({"adjacency": symmetric()[:, :2]}, "'adjacency' has the shape (12, 2, 3); it must be (G, N, N)"),
        ({"adjacency": symmetric() * 0.5}, "'adjacency' must have integers, 0 for no edge"),
        ({"adjacency": LOPSIDED}, "a.npz: edges in one direction only: 0-2 in graph 4 (adjacency[4, 0, 2])"),
        ({"adjacency": LOOP}, "a.npz: self-loops: 1 in graph 5 (adjacency[5, 1, 1]); remove them"),
        ({"adjacency": symmetric(), "sizes": np.full(11, 3)}, "but 'sizes' has 11 numbers up to 3"),
        (
            {"adjacency": symmetric(), "sizes": np.full(12, 2)},
            "adjacency[0, 1, 2] is an edge, but graph 0 has only 2 nodes",
        ),
        ({"adjacency": symmetric().ravel(), "sizes": np.full(12, 2)}, "but the squares of 'sizes' add up to 48"),
        ({"adjacency": symmetric(), "x": np.zeros((12, 2))}, "'x' has the shape (12, 2); arrays of nodes are (12, 3)"),
        ({"adjacency": symmetric(), "y": np.zeros(3)}, "'y' has the shape (3,) for 12 graphs; it must be (12,)"),
        ({"adjacency": symmetric(), "y": np.array(["a"] * 11 + ["NA"])}, "'y': the label is missing for graph '11'"),
        ({"adjacency": symmetric() * 0}, "a.npz: no graph has an edge"),
        (
            {"adjacency": symmetric(), "adjacency_labels": np.array([])},
            "has the value 1, but 'adjacency_labels' has 0 labels",
        ),
        ({"a": symmetric(), "b": symmetric()}, "data.key: a.npz has a, b; name the adjacency matrices"),
    ],
)
def test_arrays(arrays: dict[str, np.ndarray], message: str, tmp_path: Path):
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    assert message in fails(lambda: OwnGraphs(str(tmp_path / "a.npz")))


# Other files


@pytest.mark.parametrize("name", ["g.pkl", "g.gpickle", "g.pt"])
def test_pickles_are_refused(name: str, tmp_path: Path):
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    message = fails(lambda: OwnGraphs(str(tmp_path / name)))
    assert (
        f"data.path: {name} looks like a pickle, which can run any code when it is read; save the graphs as" in message
    )


def test_folders_and_archives(tmp_path: Path):
    assert "has neither a TUDataset (DS_A.txt" in fails(lambda: OwnGraphs(str(tmp_path)))
    (tmp_path / "g.zip").write_bytes(b"not an archive")
    assert "data.path: cannot read" in fails(lambda: OwnGraphs(str(tmp_path / "g.zip")))
    with zipfile.ZipFile(tmp_path / "g.zip", "w") as archive:
        archive.writestr("a.graphml", graphml())
        archive.writestr("DS_A.txt", "")
    assert "g.zip has DS_A.txt and a.graphml; keep one kind" in fails(lambda: OwnGraphs(str(tmp_path / "g.zip")))
    (tmp_path / "g.xls").write_text("")
    assert "'.xls' is none of .graphml, .csv" in fails(lambda: OwnGraphs(str(tmp_path / "g.xls")))
    assert "there is no file" in fails(lambda: OwnGraphs(str(tmp_path / "none.csv")))


# Molecules


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (
            [*"CCCC", "junk", "C1CC", "bad", "worse"],
            {},
            "m.csv: molecules that cannot be learnt: 4 of 8 (RDKit cannot read them): line 6: 'junk', line 7: 'C1CC', "
            "line 8: 'bad' and 1 more; correct them, or leave them out: data.invalid=drop",
        ),
        (
            ["CC", "[CH3]", "[2H]C"],
            {},
            "2 of 3 (radicals, isotopes, or bonds and valences of other kinds): line 3: '[CH3]'",
        ),
        (["junk"] * 3, {"invalid": "drop"}, "m.csv: no molecule can be learnt: 3 of 3 (RDKit cannot read them)"),
        (["C"] * 12, {}, "m.csv: none of the molecules has an edge"),
        (["CC"] * 5, {"column": "SMILES"}, "data.column: m.csv has no column 'SMILES'; its columns are 'smiles'"),
        (["CC"] * 5, {"label": "kind"}, "data.label: m.csv has no column 'kind'"),
        (["CC"] * 5, {"n": 0}, "n: must be >= 1, got 0"),
        (["CC"] * 5, {"invalid": "keep"}, "invalid: 'keep' is none of refuse, drop"),
        (["CCCC"] * 9 + ["CC"], {"max_nodes": 3}, "data.max_nodes: 9 of 10 molecules of m.csv have more than 3 nodes"),
    ],
)
def test_molecules(rows: list[str], options: dict, message: str, tmp_path: Path):
    (tmp_path / "m.csv").write_text("".join(f"{row}\n" for row in ["smiles", *rows]))
    assert message in fails(lambda: MoleculeTable(str(tmp_path / "m.csv"), **options))


def test_the_command_line_names_the_key(cli: Cli, tmp_path: Path):
    (tmp_path / "m.csv").write_text("smiles\nCC\nCO\n")
    code, _, err = cli("train", "data=molecules", "data.path=m.csv", "data.order=bsf")
    assert (code, err) == (2, "genlab: data.order: 'bsf' is none of none, bfs, degree; did you mean 'bfs'?\n")
    code, _, err = cli("train", "data=community", "data.protocol=publish")
    assert code == 2
    assert "data.protocol: 'publish' is none of fresh, published; did you mean 'published'?" in err
