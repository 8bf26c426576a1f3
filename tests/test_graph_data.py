"""Generated graphs, graphs and molecules from files, and the way back to files."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from conftest import Cli

from genlab.data.fields import Field
from genlab.data.graphs import generators, isomorphism, smiles
from genlab.data.graphs.graph import Attribute, Graphs, from_pairs, to_networkx
from genlab.data.graphs.molecules import CACHED, MoleculeTable, cached
from genlab.data.graphs.node_order import ordered
from genlab.data.graphs.own_graphs import OwnGraphs, read_graphs
from genlab.data.graphs.packing import fields_of, pack_graphs, unpack_graphs
from genlab.data.graphs.source import GraphSource
from genlab.data.graphs.synthetic import Synthetic
from genlab.data.graphs.write import SUFFIXES, written
from genlab.data.spec import Spec
from genlab.errors import UserError
from genlab.evaluation.judges import JUDGES
from genlab.evaluation.judges.points import PointJudge
from genlab.plots.drawers import DRAWERS
from genlab.plots.graphs import INVALID


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sample(n: int = 30, seed: int = 0, classes: bool = True) -> Graphs:
    """Random graphs of 3 to 6 nodes with two categories and numbers, all connected by a path."""
    g = rng(seed)
    sizes = g.integers(3, 7, n)
    i, j = np.triu_indices(6, 1)
    here = ((g.random((n, 15)) < 0.3) | (j == i + 1)) & (j < sizes[:, None])
    graphs = from_pairs(here, sizes)
    nodes, edges = int(sizes.sum()), len(graphs.edges)
    return graphs._replace(
        node=(
            Attribute("colour", np.arange(nodes) % 2, ("blue", "red")),
            Attribute("size", g.normal(100, 5, nodes).round(2)),
        ),
        edge=(
            Attribute("bond", g.integers(0, 3, edges), ("a", "b", "c")),
            Attribute("length", g.normal(1, 0.1, edges).round(3)),
        ),
        labels=[("cat", "dog")[k % 2] for k in range(n)] if classes else None,
    )


def plain(graphs: Graphs) -> list[tuple[Any, ...]]:
    """All that is known of each graph, in a form that can be compared."""
    return [
        (
            dict(graph.graph),
            sorted(graph.nodes(data=True)),
            sorted((*sorted(e[:2]), e[2]) for e in graph.edges(data=True)),
        )
        for graph in to_networkx(graphs)
    ]


def spec_of(graphs: Graphs, nodes: int, **options: Any) -> Spec:
    return Spec((), fields=fields_of(graphs), nodes=nodes, **options)


# Generators


def test_communities_are_two_joined_halves():
    graphs = generators.community(300, rng())
    assert set(graphs.sizes) == set(range(12, 21))
    halves = graphs.sizes[graphs.edges[:, 0]] // 2
    between = (graphs.edges[:, 1] < halves) != (graphs.edges[:, 2] < halves)
    bridges = np.bincount(graphs.edges[between, 0], minlength=300)
    assert bridges.min() == 1
    assert 1.1 < bridges.mean() < 1.6  # 0.05 n on average, and one where there is none
    half, rest = graphs.sizes // 2, graphs.sizes - graphs.sizes // 2
    within = (~between).sum() / (half * (half - 1) / 2 + rest * (rest - 1) / 2).sum()
    assert within == pytest.approx(0.7, abs=0.01)


def test_each_kind_has_the_structure_that_it_is_named_after():
    planar = to_networkx(generators.planar(5, rng()))
    assert all(len(graph) == 64 and nx.is_connected(graph) and nx.check_planarity(graph)[0] for graph in planar)
    trees = to_networkx(generators.trees(5, rng()))
    assert all(len(graph) == 64 and nx.is_tree(graph) for graph in trees)
    for lobster in to_networkx(generators.lobster(20, rng())):
        assert 10 <= len(lobster) <= 100
        assert nx.is_tree(lobster)
        for _ in range(2):  # without its leaves it is a caterpillar, and without those a path
            lobster = lobster.subgraph([node for node in lobster if lobster.degree(node) > 1])
        assert max((degree for _, degree in lobster.degree), default=0) <= 2


def test_block_models_have_blocks():
    graphs = generators.sbm(20, rng())
    assert graphs.sizes.min() >= 40
    assert graphs.sizes.max() <= 200
    pairs = graphs.sizes * (graphs.sizes - 1) / 2
    assert (graphs.edge_counts / pairs < 0.2).all()
    triangles = [nx.transitivity(graph) for graph in to_networkx(graphs)]
    assert np.mean(triangles) == pytest.approx(0.29, abs=0.03)  # 0.3 within blocks


def test_the_atlas_is_uniform_over_996_classes_in_random_order():
    classes = generators.atlas_classes()
    assert len(classes.sizes) == 996
    codes = isomorphism.hashes(classes)
    drawn = generators.atlas(50_000, rng())
    counts = Counter(isomorphism.hashes(drawn).tolist())
    kinds = Counter(codes.tolist())
    assert set(counts) == set(kinds)
    chi = sum((counts[code] - 50_000 * k / 996) ** 2 / (50_000 * k / 996) for code, k in kinds.items())
    assert abs(chi - len(kinds)) < 5 * (2 * len(kinds)) ** 0.5
    small = np.flatnonzero((drawn.sizes == 4) & (drawn.edge_counts == 3))
    made = to_networkx(drawn.take(small))
    stars = [graph for graph in made if max(degree for _, degree in graph.degree) == 3]
    assert {max(graph, key=graph.degree) for graph in stars} == {0, 1, 2, 3}


# Isomorphism


def test_hashes_and_colours_ignore_the_numbers_of_nodes_but_not_their_kinds():
    graphs = sample()
    new = np.concatenate([rng(1).permutation(size) for size in graphs.sizes])
    moved = graphs.renumbered(new)
    assert plain(moved) != plain(graphs)
    assert (isomorphism.hashes(moved) == isomorphism.hashes(graphs)).all()
    assert all(isomorphism.isomorphic(graphs.take([k]), moved.take([k])) for k in range(5))
    other = graphs._replace(node=(graphs.node[0]._replace(values=1 - graphs.node[0].values),))
    assert (isomorphism.hashes(other) != isomorphism.hashes(graphs)).any()
    kinds = graphs._replace(edge=(graphs.edge[0]._replace(values=(graphs.edge[0].values + 1) % 3),))
    assert (isomorphism.hashes(kinds) != isomorphism.hashes(graphs)).all()


def test_graphs_of_equal_hashes_are_told_apart():
    hexagon, triangles = nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    both = generators.from_networkx([hexagon, triangles])
    assert len(set(isomorphism.hashes(both).tolist())) == 1
    assert not isomorphism.isomorphic(both.take([0]), both.take([1]))


def test_no_two_splits_share_a_graph():
    def draw(count: int, g: np.random.Generator) -> Graphs:
        return from_pairs(g.random((count, 10)) < 0.5, np.full(count, 5))

    splits = isomorphism.disjoint(draw, (12, 8, 5), [3])
    assert [len(split.sizes) for split in splits] == [12, 8, 5]
    made = [to_networkx(split) for split in splits]
    for k, first in enumerate(made):
        for second in made[k + 1 :]:
            assert not any(nx.is_isomorphic(a, b) for a in first for b in second)
    with pytest.raises(UserError, match="too few different graphs"):
        isomorphism.disjoint(lambda count, g: from_pairs(np.ones((count, 3)), np.full(count, 3)), (3, 1), [0])


# Data sets


@pytest.mark.parametrize("kind", ["community", "lobster", "atlas"])
def test_generated_data_depend_on_the_seed_alone(kind: str):
    first, again, other = (Synthetic(kind, n=40, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.splits["train"].x, again.splits["train"].x)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert [len(split.x) for split in first.splits.values()] == [40, 100, 100]
    assert first.spec.layout == "graph"


def test_published_splits_are_small_and_say_so():
    data = Synthetic("community", protocol="published")
    assert [len(split.x) for split in data.splits.values()] == [64, 16, 20]
    assert "62 isomorphism classes, and 40 %" in data.notes[1]
    assert [len(split.x) for split in Synthetic("trees", protocol="published").splits.values()] == [128, 32, 40]
    with pytest.raises(UserError, match="published does not apply to atlas"):
        Synthetic("atlas", protocol="published")
    with pytest.raises(UserError, match="n: does not apply to protocol=published"):
        Synthetic("planar", n=5, protocol="published")


def test_packing_keeps_everything():
    graphs = sample(classes=False)
    spec = spec_of(graphs, 7)
    assert spec.fields[-1] == Field(
        "length", mean=graphs.edge[1].values.mean(), deviation=graphs.edge[1].values.std(), part="edge"
    )
    x = pack_graphs(graphs, spec.fields, 7)
    here = spec.presence(x)
    assert here is not None
    assert not x[here == 0].any()
    sizes = spec.fields[2]
    start = 7 * 3
    values = x[:, start : start + 7][x[:, :7] == 1]
    assert values.mean() == pytest.approx(0, abs=1e-5)
    assert values.std(correction=0) == pytest.approx(1, abs=1e-5)
    units = spec.decode(spec.encode(x))
    assert not units[here == 0].any()
    assert sizes.mean == pytest.approx(100, abs=2)
    back = unpack_graphs(units, spec)
    for mine, own in zip((*back.node, *back.edge), (*graphs.node, *graphs.edge), strict=True):
        np.testing.assert_allclose(mine.values, own.values, rtol=1e-5)
    assert (back.edges == graphs.edges).all()
    assert (back.sizes == graphs.sizes).all()


def test_absent_nodes_may_be_anywhere():
    graphs = sample(classes=False)
    spec = spec_of(graphs, 6)
    units = spec.decode(pack_graphs(graphs, spec.fields, 6))
    units[:, 1] = 0  # the second node disappears, and its edges with it
    back = unpack_graphs(units, spec)
    assert (back.sizes == graphs.sizes - 1).all()
    made = to_networkx(graphs)
    for graph, mine in zip(made, to_networkx(back), strict=True):
        graph.remove_node(1)
        assert nx.is_isomorphic(graph, mine)


def test_specs_carry_their_source_and_older_ones_have_none():
    spec = spec_of(sample(), 6, source=GraphSource("graphml", label="kind"))
    state = spec.state()
    assert Spec.of(state) == spec
    assert Spec.of(state).source == spec.counted(()).source == GraphSource("graphml", label="kind")
    del state["source"]
    assert Spec.of(state).source is None
    with pytest.raises(ValueError, match="unknown format"):
        GraphSource.of({**GraphSource("npz").state(), "format": "pickle"})


def test_orders_are_permutations():
    graphs = sample()
    for order in ("bfs", "degree"):
        again = ordered(graphs, order)
        assert all(map(nx.is_isomorphic, to_networkx(graphs), to_networkx(again)))
        assert Counter(again.node[0].values.tolist()) == Counter(graphs.node[0].values.tolist())
    for graph in to_networkx(ordered(graphs, "degree")):
        degrees = [graph.degree(node) for node in sorted(graph)]
        assert degrees == sorted(degrees, reverse=True)
    for graph in to_networkx(ordered(graphs, "bfs")):
        assert graph.degree(0) == max(degree for _, degree in graph.degree)
        distances = nx.single_source_shortest_path_length(graph, 0)
        assert [distances[node] for node in sorted(graph)] == sorted(distances.values())
    assert plain(ordered(graphs, "none")) == plain(graphs)
    with pytest.raises(UserError, match="did you mean 'bfs'"):
        ordered(graphs, "bsf")


# Files


def save(graphs: Graphs, folder: Path, source: GraphSource) -> Path:
    content, _ = written(graphs, source, 6)
    path = folder / f"graphs{SUFFIXES[source.format]}"
    path.write_bytes(content)
    return path


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


# Molecules

SMILES = [
    "CCO",
    "c1ccccc1",
    "c1cc[nH]c1",
    "C[N+](C)(C)C",
    "[O-]C(=O)C",
    "CC#N",
    "OC(=O)c1ccccc1N",
    "CS(=O)(=O)C",
    "CCBr",
]


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


def table(path: Path, rows: list[str], **columns: list[str]) -> str:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *columns, "smiles"])
        writer.writerows([str(k), *(cells[k] for cells in columns.values()), row] for k, row in enumerate(rows))
    return str(path)


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
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    texts = ["C" * (k % 5 + 1) for k in range(CACHED)] + ["junk"]
    first = cached(texts)
    monkeypatch.setattr("genlab.data.graphs.molecules.from_smiles", lambda texts: pytest.fail("read again"))
    again = cached(texts)
    assert plain(again.graphs) == plain(first.graphs)
    assert again.refused == first.refused == {smiles.UNREADABLE: [CACHED]}
    next(tmp_path.rglob("*.npz")).write_bytes(b"damaged")
    monkeypatch.setattr("genlab.data.graphs.molecules.from_smiles", lambda texts: first)
    assert cached(texts) is first


# Pictures


def test_graphs_are_drawn_in_grids():
    graphs = sample(classes=False)
    spec = spec_of(graphs, 6)
    units = spec.decode(pack_graphs(graphs, spec.fields, 6))
    drawer = DRAWERS["graph"]
    picture = drawer.sheet(spec, {"samples": units[:9]}, None, lambda: None)
    assert picture.shape == (3 * 181 + 1, 3 * 181 + 1, 3)
    assert picture.dtype == np.uint8
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    assert drawer.again(spec, units[:4], units[4:8]).shape == (2 * 181 + 1, 4 * 181 + 1, 3)
    assert drawer.moved(spec, units[:3], units[3:6], units[6:9], units).shape == (3 * 181 + 1, 3 * 181 + 1, 3)
    alone = units.clone()
    alone[:, 1:6] = 0
    assert drawer.sheet(spec, {"samples": alone[:1]}, None, lambda: None).shape == (182, 182, 3)


def test_invalid_molecules_are_drawn_on_red():
    found = smiles.from_smiles(["CCCO"])
    star = found.graphs._replace(
        sizes=np.array([6]),
        edges=np.array([[0, 0, k] for k in range(1, 6)]),
        node=(Attribute("atom", np.zeros(6, np.int64), ("C",)),),
        edge=(Attribute("bond", np.zeros(5, np.int64), smiles.BONDS),),
    )
    pairs = np.array([[0, a, b] for a in range(6) for b in range(a + 1, 6)])
    dense = star._replace(edges=pairs, edge=(Attribute("bond", np.zeros(15, np.int64), smiles.BONDS),))
    corners = []
    for graphs in (found.graphs, star, dense):
        spec = spec_of(graphs, 6, source=GraphSource("smiles"))
        units = spec.decode(pack_graphs(graphs, spec.fields, 6))
        corners.append(DRAWERS["graph"].sheet(spec, {"samples": units}, None, lambda: None)[2, 2] / 255)
    np.testing.assert_allclose(corners, [[1, 1, 1], INVALID, INVALID], atol=0.01)


# Commands


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judges graphs as points if nothing else does."""
    if "graph" not in JUDGES:
        monkeypatch.setitem(JUDGES, "graph", PointJudge)


STEPS = ("trainer.steps=2", "trainer.batch_size=8", "trainer.device=cpu", "hydra.run.dir=run")


@pytest.mark.usefixtures("judged")
def test_molecules_are_sampled_as_smiles(cli: Cli, tmp_path: Path):
    path = table(tmp_path / "m.csv", SMILES * 6)
    code, out, err = cli("train", "data=molecules", f"data.path={path}", "model=vae", "trainer.sample_every=2", *STEPS)
    assert (code, err) == (0, "")
    assert "  nodes: atom: C " in out
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    code, out, err = cli("sample", "run=run", "n=12")
    assert (code, err) == (0, "")
    with open(tmp_path / "run" / "samples.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    valid = [row["smiles"] for row in rows if row["valid"] == "true"]
    assert f"samples.csv: {len(valid)} of 12 molecules are valid before any repair" in out
    chem = smiles.rdkit()
    assert all(chem.MolFromSmiles(text) is not None for text in valid)
    assert (tmp_path / "run" / "grid.png").exists()


@pytest.mark.usefixtures("judged")
def test_graphs_are_sampled_in_the_format_of_the_source(cli: Cli, tmp_path: Path):
    path = save(sample(40), tmp_path, GraphSource("graphml"))
    code, _, err = cli(
        "train",
        "data=graphs",
        f"data.path={path}",
        "model=ddpm",
        "model.conditional=true",
        "trainer.sample_every=0",
        *STEPS,
    )
    assert (code, err) == (0, "")
    code, out, err = cli("sample", "run=run", "n=5", "y=dog", "model.sample_steps=3")
    assert (code, err) == (0, "")
    assert "run/samples.zip" in out
    graphs, _ = read_graphs(str(tmp_path / "run" / "samples.zip"))
    assert len(graphs.sizes) == 5
    assert graphs.labels == ["dog"] * 5
    assert {attribute.name for attribute in (*graphs.node, *graphs.edge)} == {"colour", "size", "bond", "length"}


@pytest.mark.usefixtures("judged")
def test_generated_graphs_are_sampled_as_arrays(cli: Cli, tmp_path: Path):
    code, _, err = cli("train", "data=atlas", "data.n=64", "model=vae", "trainer.sample_every=0", *STEPS)
    assert (code, err) == (0, "")
    code, out, err = cli("sample", "run=run", "n=7")
    assert (code, err) == (0, "")
    with np.load(tmp_path / "run" / "samples.npz") as arrays:
        x, sizes = arrays["adjacency"], arrays["sizes"]
    assert x.shape == (7, 7, 7)
    assert (x == x.transpose(0, 2, 1)).all()
    assert 1 <= sizes.min() <= sizes.max() <= 7
    assert "samples.npz" in out
