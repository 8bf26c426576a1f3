"""Generated graphs, isomorphism, and graphs packed as vectors."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest
import torch
from graph_files import plain, rng, sample, spec_of

from genlab.data.fields import Field
from genlab.data.graphs import generators, isomorphism
from genlab.data.graphs.graph import Graphs, from_pairs, to_networkx
from genlab.data.graphs.node_order import ordered
from genlab.data.graphs.packing import pack_graphs, unpack_graphs
from genlab.data.graphs.source import GraphSource
from genlab.data.graphs.synthetic import Synthetic
from genlab.data.spec import Spec
from genlab.errors import UserError


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


def test_repeated_graphs_are_counted():
    graphs = generators.from_networkx([nx.path_graph(4), nx.star_graph(3), nx.Graph([(1, 0), (0, 3), (3, 2)])])
    assert isomorphism.repeats(graphs) == [False, False, True]
    assert isomorphism.repeats(graphs, graphs.take([1])) == [False, True, False]


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
    assert "100 graphs of 100 isomorphism classes; 0 of 20 test graphs are in training" in data.notes[1]
    assert "62 isomorphism classes, and 40 %" in data.notes[2]
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
