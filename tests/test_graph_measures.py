"""Measures of graphs against brute force, networkx and direct versions of the papers' formulas."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from conftest import graphs as labelled
from scipy import stats
from small_graphs import communities, dataset, packed, random_graphs

from genlab.metrics.graphs import isomorphism, topology
from genlab.metrics.graphs.batch import Attribute, GraphBatch, batch_of
from genlab.metrics.graphs.descriptors import Descriptors, coefficients
from genlab.metrics.graphs.kernels import STATISTICS, Statistic, Variant, chance, mmd
from genlab.metrics.graphs.noise import erdos_renyi
from genlab.metrics.graphs.orbits import orbit_counts

nx: Any = pytest.importorskip("networkx")


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


def test_many_graphs_are_read_in_pieces(monkeypatch):
    data = labelled(40, 5)
    whole = batch_of(data.spec, data.real("train", 40))
    monkeypatch.setattr("genlab.metrics.graphs.batch.CHUNK", 7)
    monkeypatch.setattr("genlab.metrics.graphs.topology.CHUNK", 7)
    pieces = batch_of(data.spec, data.real("train", 40))
    assert np.array_equal(pieces.sizes, whole.sizes)
    assert np.array_equal(pieces.adjacency, whole.adjacency)
    assert np.array_equal(pieces.node[0].values, whole.node[0].values)
    assert np.array_equal(pieces.edge[0].values, whole.edge[0].values)
    assert np.array_equal(topology.connected(pieces), topology.connected(whole))


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
