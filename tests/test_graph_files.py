"""Graphs and molecules from files, and the way back to files."""

from collections import Counter
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from graph_files import SMILES, plain, sample, save, spec_of, table

from genlab.data.graphs import smiles
from genlab.data.graphs.graph import Attribute, to_networkx
from genlab.data.graphs.molecules import CACHED, MoleculeTable, cached
from genlab.data.graphs.own_graphs import OwnGraphs, read_graphs
from genlab.data.graphs.packing import pack_graphs, unpack_graphs
from genlab.data.graphs.source import GraphSource


@pytest.mark.parametrize(
    ("source", "label"),
    [
        (GraphSource("graphml"), "auto"),
        (GraphSource("graphml", label="kind"), "kind"),
        (GraphSource("edges", label="kind", ends=("g", "from", "to")), "kind"),
        (GraphSource("edges", label="kind", delimiter=";"), "kind"),
    ],
)
def test_files_are_read_as_they_were_written(source: GraphSource, label: str, tmp_path: Path):
    graphs = sample()
    edges_only = source.format == "edges"  # which have no attributes of nodes
    graphs = graphs._replace(node=()) if edges_only else graphs
    path = save(graphs, tmp_path, source)
    again, found = read_graphs(str(path), label, ends=source.ends)
    if edges_only:
        assert all(map(nx.is_isomorphic, to_networkx(again), to_networkx(graphs)))
        assert again.labels == graphs.labels
        assert Counter(again.edge[0].words) == Counter(graphs.edge[0].words)
    else:
        assert plain(again) == plain(graphs)
    assert found == source


def test_tudatasets_are_read_as_they_were_written(tmp_path: Path):
    graphs = sample()
    path = save(graphs, tmp_path, GraphSource("tudataset", name="DS"))
    again, source = read_graphs(str(path))
    assert source == GraphSource("tudataset", name="DS")
    renamed = {"node_label": "colour", "node_attribute_1": "size", "edge_label": "bond", "edge_attribute_1": "length"}
    again = again._replace(
        node=tuple(a._replace(name=renamed[a.name]) for a in again.node),
        edge=tuple(a._replace(name=renamed[a.name]) for a in again.edge),
    )
    assert plain(again) == plain(graphs)


@pytest.mark.parametrize("flat", [False, True])
def test_arrays_are_read_as_they_were_written(flat: bool, tmp_path: Path):
    graphs = sample()
    graphs = graphs._replace(edge=graphs.edge[:1])
    path = save(graphs, tmp_path, GraphSource("npz", key="A", flat=flat))
    again, source = read_graphs(str(path))
    assert source == GraphSource("npz", key="A", flat=flat)
    again = again._replace(edge=(again.edge[0]._replace(name="bond"),))
    np.testing.assert_allclose(again.node[1].values, graphs.node[1].values, rtol=1e-6)
    again = again._replace(node=(again.node[0], graphs.node[1]))
    assert plain(again) == plain(graphs)


def test_a_folder_of_graphml_files_is_a_data_set(tmp_path: Path):
    for k, graph in enumerate(to_networkx(sample(40))):
        nx.write_graphml(graph, tmp_path / f"{k:02}.graphml")
    data = OwnGraphs(str(tmp_path))
    assert [len(split.x) for split in data.splits.values()] == [32, 4, 4]
    assert data.spec.labels == ("cat", "dog")
    assert data.spec.counts == (16, 16)
    assert [field.name for field in data.spec.fields] == ["present", "colour", "size", "bond", "length"]
    assert data.notes[0].endswith("edges on average")
    assert "colour: blue" in data.notes[1]
    changed = sample(40)
    changed.edge[0].values[0] = (changed.edge[0].values[0] + 1) % 3
    nx.write_graphml(to_networkx(changed)[0], tmp_path / "00.graphml")
    assert OwnGraphs(str(tmp_path)).fingerprint != data.fingerprint
    assert OwnGraphs(str(tmp_path), label=None).spec.classes == 0


def test_both_directions_are_one_edge(tmp_path: Path):
    (tmp_path / "a.csv").write_text("graph,source,target\n" + "".join(f"{g},a,b\n{g},b,c\n" for g in range(5)))
    (tmp_path / "b.csv").write_text(
        "graph,source,target\n" + "".join(f"{g},a,b\n{g},b,a\n{g},c,b\n{g},b,c\n" for g in range(5))
    )
    (tmp_path / "c.csv").write_text("graph,source,target\n" + "".join(f"{g},a,b\n{g},b,a\n{g},c,b\n" for g in range(5)))
    once, twice = (read_graphs(str(tmp_path / name))[0] for name in ("a.csv", "b.csv"))
    assert plain(once) == plain(twice)
    assert plain(read_graphs(str(tmp_path / "c.csv"), symmetrise=True)[0]) == plain(once)


def test_large_and_rare_graphs_are_left_out_and_counted(tmp_path: Path):
    graphs = sample(40, classes=False)
    colours = graphs.node[0].values.copy()
    first = int((graphs.sizes <= 5).argmax())
    colours[graphs.starts[first]] = 2
    graphs = graphs._replace(node=(Attribute("colour", colours, ("blue", "red", "rare")),))
    path = save(graphs, tmp_path, GraphSource("graphml"))
    data = OwnGraphs(str(path), max_nodes=5)
    large = int((graphs.sizes > 5).sum())
    assert f"  left out: {large} graphs of more than 5 nodes (data.max_nodes)" in data.notes
    rare = "kinds that fewer than 2 have: colour 'rare' in 1"
    assert f"  left out: 1 graph with {rare}; data.rare=1 keeps them" in data.notes
    assert sum(len(split.x) for split in data.splits.values()) == 40 - large - 1
    assert data.spec.fields[1].labels == ("blue", "red")
    assert OwnGraphs(str(path), rare=1).spec.fields[1].labels == ("blue", "rare", "red")


def test_a_few_large_graphs_are_pointed_out(tmp_path: Path):
    lengths = [60, *[5] * 39]
    rows = [f"{graph},{i},{i + 1}" for graph, length in enumerate(lengths) for i in range(length)]
    (tmp_path / "g.csv").write_text("\n".join(["graph,source,target", *rows]))
    notes = OwnGraphs(str(tmp_path / "g.csv")).notes
    assert "all 1,830 pairs of 61 nodes, but 95 % of the graphs have at most 6: data.max_nodes=6" in notes[-1]


def test_molecules_survive_the_way_through_graphs():
    found = smiles.from_smiles([*SMILES, "C[C@H](N)O", "F/C=C/F"])
    assert not found.refused
    assert found.graphs.node[0].labels == ("Br", "C", "F", "N", "N+", "O", "O-", "S")
    spec = spec_of(found.graphs, 12)
    back = unpack_graphs(spec.decode(pack_graphs(found.graphs, spec.fields, 12)), spec)
    chem = smiles.rdkit()
    expected = [chem.MolToSmiles(chem.MolFromSmiles(text)) for text in SMILES]
    assert smiles.to_smiles(back) == [*expected, "CC(N)O", "FC=CF"]  # without stereochemistry


def test_what_graphs_cannot_hold_is_refused_by_row():
    found = smiles.from_smiles(["C", "junk", "[CH3]", "[13CH4]", "", "CC"])
    assert found.rows.tolist() == [0, 5]
    assert found.refused == {smiles.UNREADABLE: [1, 4], smiles.DIFFERENT: [2, 3]}


def test_validity_is_judged_before_repair():
    pentavalent = smiles.built("CCCCCC", [(0, k, 0) for k in range(1, 6)])
    assert smiles.smiles(pentavalent) is None
    assert smiles.smiles(smiles.built(["N+", *"CCCC"], [(0, k, 0) for k in range(1, 5)])) == "C[N+](C)(C)C"
    parts = smiles.built("CCOC", [(0, 1, 0), (1, 2, 0)])
    assert smiles.smiles(parts) == "C.CCO"
    assert smiles.smiles(parts, largest=True) == "CCO"


def test_molecules_are_a_data_set(tmp_path: Path):
    path = table(tmp_path / "m.csv", SMILES * 4, kind=["big", "small"] * 18)
    data = MoleculeTable(path, label="kind")
    assert data.spec.labels == ("big", "small")
    assert [field.name for field in data.spec.fields] == ["present", "atom", "bond"]
    assert data.spec.fields[2].labels == ("none", "single", "double", "triple")
    assert data.spec.source == GraphSource("smiles", label="kind")
    few = MoleculeTable(path, n=9, rare=1)
    assert sum(len(split.x) for split in few.splits.values()) == 9
    dropped = MoleculeTable(table(tmp_path / "bad.csv", [*SMILES * 4, "junk"]), invalid="drop")
    assert "left out: 1 of 37 (RDKit cannot read them): line 38: 'junk'" in dropped.notes[-1]


def test_molecules_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path))
    texts = ["C" * (k % 5 + 1) for k in range(CACHED)] + ["junk"]
    first = cached(texts)
    monkeypatch.setattr("genlab.data.graphs.molecules.from_smiles", lambda texts: pytest.fail("read again"))
    again = cached(texts)
    assert plain(again.graphs) == plain(first.graphs)
    assert again.refused == first.refused == {smiles.UNREADABLE: [CACHED]}
    next(tmp_path.rglob("*.npz")).write_bytes(b"damaged")
    monkeypatch.setattr("genlab.data.graphs.molecules.from_smiles", lambda texts: first)
    assert cached(texts) is first
