"""The judge of graphs: floor and noise, what is left out, and the quick form in training."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from conftest import graphs as labelled
from conftest import trainer
from small_graphs import communities, dataset, packed

from genlab.data.base import Dataset
from genlab.data.packed import KnownGraphs
from genlab.evaluation.evaluate import Plan, evaluate, judge_samples
from genlab.evaluation.judges import judge_of, quick_judge_of
from genlab.evaluation.report import Report
from genlab.evaluation.training import evaluator
from genlab.metrics.catalogue import MEASURES
from genlab.metrics.graphs import topology
from genlab.metrics.graphs.batch import GraphBatch

nx: Any = pytest.importorskip("networkx")


@pytest.fixture(scope="module")
def community() -> Dataset:
    return dataset(communities(80, 0), communities(60, 1), communities(60, 2))


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
    logged = evaluator(labelled(), torch.device("cpu"), 0)(family)
    assert {"eval/mean_mmd", "eval/node_tv", "eval/valid"} <= logged.keys()


def test_every_value_is_described(community: Dataset):
    found = judge_of(community, "test", 20, reasons={})(community.real("train", 20))
    assert found.keys() <= MEASURES.keys()
    assert all(MEASURES[name].text for name in found)
