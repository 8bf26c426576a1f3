"""Measures of graphs against brute force, networkx and direct versions of the papers' formulas."""

import itertools
import sys
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from genlab.data.base import Dataset, Split
from genlab.data.fields import Field
from genlab.data.packed import KnownGraphs, Packed, pack, presence
from genlab.evaluation.evaluate import Plan, evaluate, judge_samples
from genlab.evaluation.judges import judge_of, quick_judge_of
from genlab.evaluation.report import Report
from genlab.metrics.catalogue import MEASURES
from genlab.metrics.graphs import isomorphism, topology
from genlab.metrics.graphs.batch import Attribute, GraphBatch, batch_of
from genlab.metrics.graphs.descriptors import Descriptors, coefficients
from genlab.metrics.graphs.kernels import STATISTICS, Statistic, Variant, chance, mmd
from genlab.metrics.graphs.noise import erdos_renyi
from genlab.metrics.graphs.orbits import orbit_counts
from tests.conftest import graphs as labelled
from tests.conftest import trainer

nx: Any = pytest.importorskip("networkx")
PLAIN = (Field("present", "present", part="node"), Field("edge", "category", 2, part="edge", labels=("none", "edge")))


def random_graphs(n: int, nodes: int, density: float, seed: int = 0) -> GraphBatch:
    """Erdős-Rényi graphs of 1 to `nodes` nodes."""
    g = np.random.default_rng(seed)
    sizes = g.integers(1, nodes + 1, n)
    here = np.arange(nodes) < sizes[:, None]
    a = np.triu(g.random((n, nodes, nodes)) < density, 1) & here[:, :, None] & here[:, None]
    return GraphBatch(sizes, a | a.transpose(0, 2, 1))


def communities(n: int, seed: int, within: float = 0.7) -> GraphBatch:
    """Graphs of 12 to 20 nodes in two halves with dense edges within each and one edge between them."""
    g = np.random.default_rng(seed)
    sizes = g.integers(12, 21, n)
    half = sizes[:, None] // 2
    place = np.arange(20)
    first, here = place < half, place < sizes[:, None]
    same = (first[:, :, None] == first[:, None]) & here[:, :, None] & here[:, None]
    a = np.triu((g.random((n, 20, 20)) < within) & same, 1)
    a[:, 0] |= place == half
    return GraphBatch(sizes, a | a.transpose(0, 2, 1))


def packed(graphs: GraphBatch, seed: int | None = 0) -> torch.Tensor:
    """Graphs in the fields of `PLAIN`, with the nodes in random places."""
    n, nodes = graphs.here.shape
    a, here = torch.from_numpy(graphs.adjacency).float(), torch.from_numpy(graphs.here).float()
    if seed is not None:
        order = torch.rand(n, nodes, generator=torch.Generator().manual_seed(seed)).argsort(1)
        here = here.gather(1, order)
        a = torch.stack([each[p][:, p] for each, p in zip(a, order, strict=True)])
    x = pack(here[..., None], torch.stack([1 - a, a], dim=3))
    return x * presence(here, Packed(nodes, 1, 2))


def dataset(train: GraphBatch, held: GraphBatch, other: GraphBatch) -> Dataset:
    splits = {"train": Split(packed(train)), "validation": Split(packed(other)), "test": Split(packed(held))}
    return Dataset("graphs", splits, PLAIN, nodes=train.here.shape[1])


@pytest.fixture(scope="module")
def community() -> Dataset:
    return dataset(communities(80, 0), communities(60, 1), communities(60, 2))


def by_enumeration(a: np.ndarray) -> np.ndarray:
    """The orbits of each node, from all induced subgraphs of two to four nodes: (N, N) -> (N, 15)."""
    kinds = {
        (1, 1): {1: 0},
        (1, 1, 2): {1: 1, 2: 2},
        (2, 2, 2): {2: 3},
        (1, 1, 2, 2): {1: 4, 2: 5},
        (1, 1, 1, 3): {1: 6, 3: 7},
        (2, 2, 2, 2): {2: 8},
        (1, 2, 2, 3): {1: 9, 2: 10, 3: 11},
        (2, 2, 3, 3): {2: 12, 3: 13},
        (3, 3, 3, 3): {3: 14},
    }
    counts = np.zeros((len(a), 15))
    for size in (2, 3, 4):
        for nodes in itertools.combinations(range(len(a)), size):
            degrees = a[np.ix_(nodes, nodes)].sum(1).tolist()
            for node, degree in zip(nodes, degrees, strict=True):
                orbit = kinds.get(tuple(sorted(degrees)), {}).get(degree)  # those with a degree of 0 are not connected
                if orbit is not None:
                    counts[node, orbit] += 1
    return counts


def test_orbits_are_those_of_all_induced_subgraphs():
    adjacency = np.concatenate([random_graphs(12, 9, density).adjacency for density in (0.2, 0.5, 0.85)])
    found = orbit_counts(adjacency)
    assert np.array_equal(found, [by_enumeration(a) for a in adjacency])
    assert found.any((0, 1)).all()  # every orbit occurs


def test_orbits_are_counted_in_pieces(monkeypatch):
    graphs = random_graphs(9, 8, 0.5)
    whole = orbit_counts(graphs.adjacency)
    monkeypatch.setattr("genlab.metrics.graphs.orbits.ENTRIES", 1000)
    assert np.array_equal(orbit_counts(graphs.adjacency), whole)
    assert orbit_counts(np.zeros((0, 4, 4), bool)).shape == (0, 4, 15)


def slow_descriptors(graph: Any, statistic: Statistic) -> np.ndarray:
    if statistic == "degree":
        return np.pad(nx.degree_histogram(graph), (0, 20))[:20].astype(float)
    if statistic == "clustering":
        return np.histogram(list(nx.clustering(graph).values()), bins=100, range=(0, 1))[0].astype(float)
    if statistic == "spectrum":
        values = np.linalg.eigvalsh(nx.normalized_laplacian_matrix(graph).toarray())
        return np.histogram(values.clip(0, 2), bins=200, range=(-1e-5, 2))[0].astype(float)
    return by_enumeration(nx.to_numpy_array(graph)).mean(0)


def slow_kernel(x: np.ndarray, y: np.ndarray, statistic: Statistic, variant: Variant) -> float:
    """The kernel of one pair of graphs, as the papers define it."""
    if statistic != "orbit":
        x, y = x / x.sum(), y / y.sum()
    if variant == "tv":
        distance = np.abs(x - y).sum() / 2
    elif statistic == "orbit":
        distance = np.linalg.norm(x - y)
    else:
        place = np.arange(len(x)) / (100 if statistic == "clustering" else 1)
        distance = stats.wasserstein_distance(place, place, x, y)
    sigma = {"degree": 1.0, "clustering": 0.1, "orbit": 30.0, "spectrum": 1.0}[statistic]
    return float(np.exp(-(distance**2) / (2 * sigma**2)))


@pytest.mark.parametrize("variant", ["emd", "tv"])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_mmd_is_the_papers(statistic: Statistic, variant: Variant):
    both = communities(6, 0), random_graphs(7, 14, 0.4, seed=1)
    x, y = ([slow_descriptors(graph, statistic) for graph in isomorphism.to_networkx(each)] for each in both)

    def mean(x: list[np.ndarray], y: list[np.ndarray]) -> float:
        return float(np.mean([[slow_kernel(a, b, statistic, variant) for b in y] for a in x]))

    found = mmd(Descriptors(both[0]), Descriptors(both[1]), statistic, variant)
    assert found == pytest.approx(mean(x, x) + mean(y, y) - 2 * mean(x, y), abs=1e-9)
    assert mmd(Descriptors(both[0]), Descriptors(both[0]), statistic, variant) == pytest.approx(0, abs=1e-12)


def test_clustering_is_that_of_networkx():
    graphs = random_graphs(10, 12, 0.4)
    for graph, found in zip(isomorphism.to_networkx(graphs), coefficients(graphs.adjacency), strict=True):
        assert found[: len(graph)] == pytest.approx(list(nx.clustering(graph).values()))


def test_the_bias_of_an_mmd_is_what_chance_says():
    draws = [Descriptors(communities(20, seed)) for seed in range(40)]
    many = Descriptors(communities(300, 99))
    for statistic in ("degree", "clustering", "spectrum"):  # that of orbits has heavy tails
        mean = np.mean([mmd(a, b, statistic, "tv") for a, b in itertools.pairwise(draws)])
        assert mean == pytest.approx(2 / 20 * chance(many, statistic, "tv"), rel=0.2)


def test_graphs_are_read_whatever_the_order_of_their_nodes():
    graphs = random_graphs(30, 9, 0.4)
    spec = dataset(graphs, graphs, graphs).spec
    read = batch_of(spec, packed(graphs, seed=3))
    assert np.array_equal(read.sizes, graphs.sizes)
    assert np.array_equal(batch_of(spec, packed(graphs, seed=None)).adjacency, graphs.adjacency)
    classes = isomorphism.Classes()
    assert np.array_equal(classes.numbers(graphs), classes.numbers(read))
    for a, b in ((Descriptors(graphs), Descriptors(read)),):
        for statistic in STATISTICS:
            assert np.allclose(getattr(a, statistic), getattr(b, statistic)), statistic


def test_attributes_are_read_and_compared():
    data = labelled(40, 5)
    graphs = batch_of(data.spec, data.real("train", 40))
    assert [a.name for a in graphs.node] == ["atom"]
    assert graphs.edge[0].labels == ("single", "double")
    nodes, edges = graphs.rows("node"), graphs.rows("edge")
    assert (len(nodes), len(edges)) == (graphs.sizes.sum(), graphs.edge_counts.sum())
    x = data.real("train", 40)
    kinds = data.spec.groups[2].of(x).sum((0, 2))  # absent pairs are 0
    assert np.bincount(edges.values[:, 0].astype(int)).tolist() == kinds[1:].tolist()
    only = graphs.node[0]._replace(values=np.zeros_like(graphs.node[0].values))
    found = topology.attribute_measures(GraphBatch(graphs.sizes, graphs.adjacency, (only,), graphs.edge), graphs)
    assert found == {"node_tv": pytest.approx(nodes.values.mean()), "edge_tv": 0.0}
    number = Attribute("weight", np.random.default_rng(0).random(graphs.here.shape))
    shifted = number._replace(values=number.values + 2)
    pair = (GraphBatch(graphs.sizes, graphs.adjacency, (each,)) for each in (number, shifted))
    assert topology.attribute_measures(*pair) == {"node_ks": 1.0}


def test_topology_is_that_of_networkx():
    graphs = random_graphs(60, 10, 0.3)
    made = isomorphism.to_networkx(graphs)
    assert topology.connected(graphs).tolist() == [nx.is_connected(graph) for graph in made]
    dense = random_graphs(60, 8, 0.7)
    flags = [nx.check_planarity(graph)[0] for graph in isomorphism.to_networkx(dense)]
    assert topology.planar(dense).tolist() == flags
    assert any(flags)
    assert not all(flags)
    assert not topology.connected(GraphBatch(np.array([0]), np.zeros((1, 3, 3), bool)))[0]
    same = topology.size_measures(graphs, graphs)
    assert same == {"nodes_ks": 0.0, "edges_ks": 0.0, "density_ks": 0.0}
    assert topology.size_measures(dense, graphs)["density_ks"] > 0.5


def test_classes_are_isomorphism_classes():
    graphs = random_graphs(60, 5, 0.5)
    numbers = isomorphism.Classes().numbers(graphs)
    made = isomorphism.to_networkx(graphs)
    for i, j in itertools.combinations(range(40), 2):
        assert (numbers[i] == numbers[j]) == nx.is_isomorphic(made[i], made[j])
    # The Weisfeiler-Leman hash of one cycle of six and of two triangles is the same.
    ring, twice = (np.zeros((16, 16), bool) for _ in range(2))
    for k in range(6):
        ring[k, (k + 1) % 6] = ring[(k + 1) % 6, k] = True
    twice[:3, :3] = twice[3:6, 3:6] = ~np.eye(3, dtype=bool)
    for size in (6, 16):  # with and without colours
        pair = GraphBatch(np.array([size, size]), np.stack([ring, twice]))
        assert isomorphism.Classes().numbers(pair).tolist() == [0, 1]
    empty = GraphBatch(np.array([0, 0, 1]), np.zeros((3, 1, 1), bool))
    assert isomorphism.Classes().numbers(empty).tolist() == [0, 0, 1]
    kinds = Attribute("bond", np.zeros((2, 16, 16), np.int16), ("a", "b"))
    kinds.values[1, 0, 1] = kinds.values[1, 1, 0] = 1
    alike = GraphBatch(np.array([6, 6]), np.stack([ring, ring]), edge=(kinds,))
    assert isomorphism.Classes().numbers(alike).tolist() == [0, 1]


def test_novelty_counts_classes():
    assert isomorphism.novelty(np.array([0, 0, 5, 7]), 3) == {"unique": 0.75, "novel": 0.5}
    found = isomorphism.class_measures(np.array([0, 0, 1, 9]), np.array([0.5, 0.25, 0.25]))
    expected = 2 / 3 * np.log(2 / 3 / 0.5) + 1 / 3 * np.log(1 / 3 / 0.25)
    assert found == {"class_kl": pytest.approx(expected), "class_known": 0.75, "class_covered": 0.75}
    with pytest.raises(ValueError, match="no sample is isomorphic"):
        isomorphism.class_measures(np.array([4]), np.array([1.0]))


def test_shares_of_known_classes_are_exact():
    atlas = [graph for graph in nx.graph_atlas_g() if 2 <= len(graph) <= 5 and nx.is_connected(graph)]
    adjacency = np.zeros((len(atlas), 5, 5), bool)
    for k, graph in enumerate(atlas):
        adjacency[k, : len(graph), : len(graph)] = nx.to_numpy_array(graph)
    every = GraphBatch(np.array([len(graph) for graph in atlas]), adjacency)
    assert len(every) == 1 + 2 + 6 + 21
    rng = np.random.default_rng(0)
    drawn, train = (rng.integers(0, len(every), n) for n in (300, 400))
    data = dataset(every.take(train), every.take(drawn), every.take(drawn))
    learnt = judge_of(data, "test", 300, reasons={})(packed(every.take(drawn), 5))
    data.known_graphs = KnownGraphs(packed(every, seed=9), torch.full((len(every),), 1 / len(every)))
    exact = judge_of(data, "test", 300, reasons={})(packed(every.take(drawn), 5))
    q = np.bincount(drawn, minlength=len(every)) / 300
    p = np.bincount(train, minlength=len(every)) / 400
    assert exact["class_kl"] == pytest.approx((q[q > 0] * np.log(q[q > 0] * len(every))).sum())
    assert exact["class_known"] == 1
    assert exact["class_covered"] == pytest.approx((q > 0).mean())
    seen = (q > 0) & (p > 0)
    inside = q[seen] / q[seen].sum()
    assert learnt["class_kl"] == pytest.approx((inside * np.log(inside / p[seen])).sum())


def test_noise_has_the_sizes_and_densities_of_the_data():
    data = labelled(40, 5)
    x = data.real("train", 40)
    noise = erdos_renyi(data.spec, x, 4000)
    real, fake = batch_of(data.spec, x), batch_of(data.spec, noise)
    assert fake.sizes.mean() == pytest.approx(real.sizes.mean(), abs=0.1)
    density = [each.edge_counts.sum() / (each.sizes * (each.sizes - 1) / 2).sum() for each in (real, fake)]
    assert density[0] == pytest.approx(density[1], abs=0.03)
    assert max(topology.attributes(fake, real).values()) < 0.03
    here = data.spec.presence(noise)
    assert here is not None
    assert not noise[here == 0].any()
    atoms = data.spec.groups[1].of(noise).sum(1)
    assert torch.equal(atoms, data.spec.groups[0].of(noise)[:, 0])


def test_real_graphs_are_near_the_floor_and_random_ones_far_above(community: Dataset):
    report, n = Report(source="here"), 60
    judge_samples(community.real("validation", n), community, Plan(samples=n), None, report)
    assert not report.left_out
    rows: Any = report.measures
    assert rows["mean_mmd"].floor < 0.03
    assert rows["mean_mmd"].value < 0.03
    assert rows["mean_mmd"].noise > 0.3
    for name in ("clustering_mmd", "orbit_mmd", "orbit_mmd_tv", "degree_mmd"):
        assert rows[name].noise > 4 * rows[name].floor, name
    assert rows["mean_ratio"].value == pytest.approx(1, abs=0.5)
    assert rows["mean_ratio"].floor == pytest.approx(1)
    assert rows["mean_ratio"].noise > 4
    assert rows["connected"].value == pytest.approx(topology.connected(communities(60, 2)).mean())
    assert rows["novel"].floor == 1  # that of held-out graphs
    assert rows["nodes_ks"].noise < 0.3
    assert "planar" not in rows
    assert "class_kl" not in rows
    assert "valid" not in rows
    assert "60 real graphs have a mean_mmd of" in report.notes[0]
    assert any(line.startswith("note: MMDs are biased") for line in report.lines())
    copies = judge_of(community, "test", n, reasons={})(community.real("train", n))
    assert copies["novel"] == 0


def test_planar_graphs_are_recognised():
    trees = [nx.random_labeled_tree(9, seed=k) for k in range(40)]
    batch = GraphBatch(np.full(40, 9), np.stack([nx.to_numpy_array(tree) for tree in trees]).astype(bool))
    data = dataset(batch, batch, batch)
    dense = GraphBatch(batch.sizes, np.tile(~np.eye(9, dtype=bool), (40, 1, 1)))
    judge = judge_of(data, "test", 40, reasons={})
    assert judge(packed(batch))["planar"] == 1
    found = judge(packed(dense))
    assert found["planar"] == 0
    assert found["unique"] == 1 / 40
    assert found["clustering_mmd"] > 0.1
    assert "clustering_mmd_ratio" not in found  # trees have no triangles: the floor is 0


def test_the_quick_judge_takes_parts_of_the_full_one(community: Dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)  # not needed in training
    samples = community.real("train", 60)
    reasons: dict[str, str] = {}
    quick = quick_judge_of(community, reasons=reasons)(samples)
    assert not reasons
    assert {"eval/mean_mmd", "eval/orbit_mmd", "eval/connected", "eval/nodes_ks"} <= quick.keys()
    assert not any("ratio" in name or "_tv" in name for name in quick)
    full = judge_of(community, "validation", 60, reasons=reasons)(samples)
    for name, value in quick.items():
        assert full[name.removeprefix("eval/")] == value
    assert "networkx" in reasons["isomorphism"]
    assert "genlab[graphs]" in reasons["isomorphism"]
    assert "mean_ratio" in full
    assert "unique" not in full


def test_a_failing_measure_is_left_out(community: Dataset, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("sabotage")

    samples = community.real("train", 20)
    whole = judge_of(community, "test", 20, reasons={})(samples)
    monkeypatch.setattr("genlab.metrics.graphs.descriptors.orbit_counts", fail)
    reasons: dict[str, str] = {}
    judge = judge_of(community, "test", 20, reasons=reasons)
    found = judge(samples)
    assert set(reasons) == {"orbit", "orbit_ratio", "mean_mmd", "mean_ratio"}
    assert found == {name: whole[name] for name in found}
    assert {"degree_mmd", "spectrum_mmd_tv_ratio", "unique"} <= found.keys()
    report = Report(source="here")
    judge_samples(samples, community, Plan(samples=20), None, report)
    assert report.left_out["notes"] == "RuntimeError: sabotage"


def test_odd_graphs_end_nothing(community: Dataset):
    reasons: dict[str, str] = {}
    judge = judge_of(community, "test", 20, reasons=reasons)
    empty = torch.zeros(8, *community.spec.shape)
    found = judge(empty)
    assert found["connected"] == 0
    assert found["nodes_ks"] == 1
    assert found["unique"] == 1 / 8
    assert "needs graphs with nodes" in reasons["degree"]
    assert judge(empty / 0.0).keys() == found.keys()  # NaN
    few = dataset(communities(4, 0), communities(60, 1), communities(60, 2))
    reasons = {}
    assert "degree_mmd" in judge_of(few, "test", 60, reasons=reasons)(few.real("validation", 60))
    assert "as many training graphs" in reasons["degree_ratio"]


@pytest.mark.parametrize("model", ["digress", "vae"])
def test_a_trained_model_is_evaluated(model: str):
    run = trainer(model, labelled(), steps=2)
    run.fit()
    family: Any = run.family
    if model == "digress":
        family.sample_steps = 3
    report = Report(source="here")
    evaluate(family, labelled(), Plan(samples=12, likelihood=4, k=2), None, report)
    assert {"degree_mmd", "orbit_mmd_tv", "node_tv", "edge_tv", "connected"} <= report.measures.keys()
    assert "have the statistics of the held-out ones" in report.left_out["mean_ratio"]  # they are the same graphs here
    assert set(report.columns) == {"node atom", "edge bond"}
    assert report.notes


def test_every_value_is_described(community: Dataset):
    found = judge_of(community, "test", 20, reasons={})(community.real("train", 20))
    assert found.keys() <= MEASURES.keys()
    assert all(MEASURES[name].text for name in found)
