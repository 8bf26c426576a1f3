"""Graphs and molecules made elsewhere, as a trained model reads them."""

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from graph_files import SMILES, sample, spec_of

from genlab.data import formats
from genlab.data.graphs import smiles
from genlab.data.graphs.given import of_objects
from genlab.data.graphs.graph import Attribute, Graphs, to_networkx
from genlab.data.graphs.packing import pack_graphs, unpack_graphs
from genlab.data.graphs.source import GraphSource
from genlab.data.graphs.write import objects
from genlab.data.spec import Spec
from genlab.errors import UserError


def units(graphs: Graphs, spec: Spec) -> torch.Tensor:
    return spec.decode(pack_graphs(graphs, spec.fields, spec.nodes))


@pytest.mark.parametrize(
    "source",
    [
        GraphSource("graphml", label="kind"),
        GraphSource("npz"),
        GraphSource("npz", key="A", flat=True),
        GraphSource("edges", label="kind", ends=("g", "a", "b"), delimiter=";"),
        GraphSource("edges", label="y", delimiter="\t"),
    ],
)
@pytest.mark.parametrize("classed", [False, True])
def test_what_was_written_is_read_again(source: GraphSource, classed: bool, tmp_path: Path):
    graphs = sample(classes=False)
    if source.format == "edges":
        graphs = graphs._replace(node=())
    if source.format == "npz":
        graphs = graphs._replace(edge=(graphs.edge[0]._replace(name="kind"),))
    spec = spec_of(graphs, 6, classes=2, labels=("cat", "dog"), source=source)
    x = units(graphs, spec)
    y = torch.arange(len(x)) % 2 if classed else None
    path = tmp_path / f"samples{formats.suffix(spec)}"
    parts = [(x[:7], None if y is None else y[:7]), (x[7:], None if y is None else y[7:])]
    assert formats.write(path, spec, parts) == len(x)
    again = formats.read(path, spec)
    assert again is not None
    if source.format == "edges":  # nodes are numbered as they occur
        pairs = zip(to_networkx(unpack_graphs(again, spec)), to_networkx(graphs), strict=True)
        assert all(nx.is_isomorphic(*pair, edge_match=lambda a, b: a["bond"] == b["bond"]) for pair in pairs)
    else:
        torch.testing.assert_close(again, x, rtol=1e-5, atol=1e-5)


def test_molecules_are_read_again_whether_valid_or_not(tmp_path: Path):
    found = smiles.from_smiles([*SMILES, "CCCCCC"]).graphs
    star = found.edges.copy()
    star[-5:, 1:] = [[0, k] for k in range(1, 6)]  # a carbon with five neighbours
    found = found._replace(edges=star)
    spec = spec_of(found, 12, source=GraphSource("smiles", column="text"))
    x = units(found, spec)
    path = tmp_path / f"samples{formats.suffix(spec)}"
    formats.write(path, spec, [(x, None)])
    assert [line.rsplit(",")[1] for line in path.read_text().splitlines()] == ["valid", *["true"] * 9, "false"]
    again = formats.read(path, spec)
    assert again is not None
    read = unpack_graphs(again, spec)
    assert smiles.to_smiles(read) == smiles.to_smiles(found)
    pairs = zip(to_networkx(read), to_networkx(found), strict=True)
    assert all(nx.is_isomorphic(*pair, node_match=lambda a, b: a == b) for pair in pairs)
    assert objects(spec, x)[0] == "CCO"
    assert torch.equal(of_objects(objects(spec, again), spec), again)


def test_objects_are_networkx_graphs():
    graphs = sample(classes=False)
    spec = spec_of(graphs, 6, classes=2, labels=("cat", "dog"))
    x = units(graphs, spec)
    made = objects(spec, x, torch.ones(len(x), dtype=torch.int64))
    assert made[0].graph == {"label": "dog"}
    torch.testing.assert_close(of_objects(made, spec), x, rtol=1e-5, atol=1e-5)


PLAIN, TEXT = GraphSource("edges"), GraphSource("smiles", column="text")
EDGES = "graph,source,target\n0,a,b\n0,b,c\n1,a,b\n"


@pytest.mark.parametrize(
    ("text", "source", "message"),
    [
        (EDGES + "1,b,c\n1,c,d\n", PLAIN, "graph '1' has 4 nodes; at most 3 are allowed"),
        (
            EDGES + "1,b,a\n",
            PLAIN,
            "edges in one direction only: a-b in graph '0' (line 2), b-c in graph '0' (line 3);",
        ),
        (EDGES + "1,b,a\n", PLAIN, "; samples must be undirected"),
        ("graph,source,target\n0,a,b\n", PLAIN, "has 1 graphs, but at least 2 are needed"),
        (
            "text\nCC\nC1C\n",
            GraphSource("smiles", column="text"),
            "1 of 2 are not molecules that a graph can hold: line 3",
        ),
        ("text\nCC\nCF\n", GraphSource("smiles", column="text"), "node attribute 'atom': 'F' is not known"),
        ("text\nCC\nCO\n", GraphSource("smiles"), "has no column 'smiles'"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, source: GraphSource, message: str, tmp_path: Path):
    path = tmp_path / "s.csv"
    path.write_text(text)
    known = smiles.from_smiles(["CCO", "CC"]).graphs if source.format == "smiles" else path_graphs()
    with pytest.raises(UserError) as caught:
        formats.read(path, spec_of(known, 3, source=source))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def path_graphs() -> Graphs:
    return Graphs(np.array([3, 2]), np.array([[0, 0, 1], [0, 1, 2], [1, 0, 1]]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([nx.DiGraph([(0, 1)])], "sample 0: the graph is directed; samples must be undirected"),
        ([nx.path_graph(2), nx.Graph([(0, 0), (0, 1)])], "self-loops: 0 in sample 1"),
        ([nx.complete_graph(4)], "sample 0 has 4 nodes; at most 3 are allowed"),
        (["CC"], "sample 0 is a str; samples of this model are networkx.Graph"),
    ],
)
def test_objects_that_do_not_fit_are_refused(given: list[Any], message: str):
    with pytest.raises(UserError, match=message):
        of_objects(given, spec_of(path_graphs(), 3))


def test_few_values_of_a_number_are_still_numbers(tmp_path: Path):
    graphs = path_graphs()._replace(edge=(Attribute("length", np.array([1.5, 2.0, 7.0])),))
    spec = spec_of(graphs, 3, source=PLAIN)
    path = tmp_path / "samples.csv"
    path.write_text("graph,source,target,length\n0,a,b,4\n0,b,c,2\n1,a,b,4\n")
    again = formats.read(path, spec)
    assert again is not None
    assert unpack_graphs(again, spec).edge[0].values.tolist() == pytest.approx([4, 2, 4])
