"""Measures of typed tables against closed forms, scipy and scikit-learn, and what they say of known samplers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from genlab.evaluation.judges.tables import TableJudge
from genlab.metrics.tables import boosting, marginals, trends
from genlab.metrics.tables.measures import copies, privacy
from genlab.metrics.tables.rows import Rows, same_length
from genlab.metrics.tables.support import support_measures

NAMES = ("number", "word", "other", "rank")


def sample(n: int, seed: int, shift: float = 0.0, dependent: bool = True) -> Rows:
    """Rows of two numbers and two columns of words that depend on one another, a tenth of one number missing."""
    g = np.random.default_rng(seed)
    k = g.integers(0, 3, n)
    number = 2.0 * (k if dependent else g.integers(0, 3, n)) + g.normal(size=n) + shift
    rank = number**3 + g.normal(size=n)
    number[g.random(n) < 0.1] = np.nan
    other = np.where(g.random(n) < 0.8, k % 2, g.integers(0, 2, n))
    return Rows(np.stack([number, k, other, rank], axis=1), NAMES, (0, 3, 2, 0))


def test_marginals_are_those_of_scipy_and_counts():
    a, b = sample(400, 0), sample(500, 1, shift=0.5)
    found = marginals.by_column(a, b)
    x, y = (rows.values[:, 0][~np.isnan(rows.values[:, 0])] for rows in (a, b))
    kolmogorov: Any = stats.ks_2samp(x, y)
    assert found["number"] == pytest.approx(kolmogorov.statistic)
    p, q = (np.bincount(rows.values[:, 1].astype(int), minlength=3) / len(rows) for rows in (a, b))
    assert found["word"] == pytest.approx(abs(p - q).sum() / 2)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    means = marginals.marginal_measures(a, b)
    assert means["column_ks"] == pytest.approx((found["number"] + found["rank"]) / 2)
    assert means["column_tv"] == pytest.approx((found["word"] + found["other"]) / 2)
    assert means["column_worst"] == max(found.values())


def test_associations_are_those_of_scipy():
    rows = sample(600, 0)
    matrix = trends.associations(rows)
    k, other = rows.values[:, 1].astype(int), rows.values[:, 2].astype(int)
    table = np.histogram2d(k, other, bins=(3, 2))[0].astype(int)
    assert matrix[1, 2] == pytest.approx(stats.contingency.association(table, "cramer"))
    known = ~np.isnan(rows.values[:, 0])
    ranks = stats.rankdata(rows.values[:, 3])
    spearman: Any = stats.spearmanr(rows.values[known, 0], rows.values[known, 3])
    assert matrix[0, 3] == pytest.approx(spearman.statistic, abs=0.01)
    between: Any = stats.f_oneway(*(ranks[k == i] for i in range(3)))  # F = η² (n - 3) / ((1 - η²) 2)
    eta2 = 2 * between.statistic / (2 * between.statistic + len(ranks) - 3)
    assert matrix[1, 3] == pytest.approx(np.sqrt(eta2))
    assert np.allclose(matrix, matrix.T)
    assert trends.trend_error(rows, rows) == {"trend_error": 0.0}
    assert trends.trend_error(sample(600, 1, dependent=False), rows)["trend_error"] > 0.2


def test_constant_columns_and_outliers_do_not_break_the_trends():
    rows = sample(100, 0)
    wild = rows.values.copy()
    wild[0, 3] = 1e12
    assert trends.trend_error(Rows(wild, NAMES, rows.words), rows)["trend_error"] < 0.02
    wild[:, 1] = 0
    wild[:, 3] = 7
    assert np.isfinite(trends.associations(Rows(wild, NAMES, rows.words))).all()


def test_missing_and_out_of_range_cells_are_counted():
    rows, train = sample(1000, 0), sample(1000, 1)
    assert marginals.missing_error(rows, train)["missing_error"] < 0.05
    gone = rows.values.copy()
    gone[:500, 0] = np.nan
    assert marginals.missing_error(Rows(gone, NAMES, rows.words), train)["missing_error"] == pytest.approx(
        0.45, abs=0.05
    )
    words = rows.values.copy()
    words[:, 1] = np.where(rows.values[:, 1] == 2, 0, rows.values[:, 1])
    measured = marginals.missing_error(
        Rows(words, NAMES, rows.words, (-1, 2, -1, -1)), replace(rows, absent=(-1, 2, -1, -1))
    )
    assert measured["missing_error"] == pytest.approx((rows.values[:, 1] == 2).mean())
    assert marginals.out_of_range(train, train)["out_of_range"] == 0
    gone[:10, 3] = 1e9
    gone[10:20, 1] = 2
    small = Rows(train.values[train.values[:, 1] < 2], NAMES, train.words)
    share = marginals.out_of_range(Rows(gone, NAMES, rows.words), small)["out_of_range"]
    low, high = np.nanmin(small.values, axis=0), np.nanmax(small.values, axis=0)
    outside = (gone[:, 1] == 2) | (((gone < low) | (gone > high))[:, [0, 3]]).any(1)
    assert share == pytest.approx(outside.mean())


def test_boosted_trees_cannot_tell_like_from_like_and_can_tell_a_shift():
    pytest.importorskip("sklearn")
    real = sample(600, 0)
    assert boosting.detection(sample(600, 1), real)["detection_auc"] == pytest.approx(0.5, abs=0.06)
    assert boosting.detection(sample(600, 1, shift=4.0), real)["detection_auc"] > 0.9
    assert boosting.detection(sample(600, 1, dependent=False), real)["detection_auc"] > 0.7
    with pytest.raises(ValueError, match="needs 10 rows"):
        boosting.detection(real.head(8), real)


def test_utility_is_that_of_real_rows_or_of_chance():
    sklearn = pytest.importorskip("sklearn.metrics")
    train, real = sample(600, 0), sample(600, 1)
    good = boosting.utility(train, real, "word")["utility_auc"]
    assert 0.85 < good < 1
    shuffled = train.values.copy()
    np.random.default_rng(0).shuffle(shuffled[:, 1])
    assert boosting.utility(Rows(shuffled, NAMES, train.words), real, "word")["utility_auc"] < 0.65
    assert boosting.utility(train, real, "rank")["utility_r2"] > 0.6
    with pytest.raises(ValueError, match="has one value only"):
        boosting.utility(Rows(np.zeros((50, 4)), NAMES, real.words), real, "word")
    # One against the rest, weighted by their shares, is scikit-learn's own weighted AUC.
    g = np.random.default_rng(0)
    y, shares = g.integers(0, 3, 90), g.dirichlet(np.ones(3), 90)
    ovr = sklearn.roc_auc_score(y, shares, multi_class="ovr", average="weighted")
    aucs = [sklearn.roc_auc_score(y == k, shares[:, k]) for k in range(3)]
    assert ovr == pytest.approx(np.average(aucs, weights=np.bincount(y)))


def test_support_tells_narrow_from_wide_samplers():
    torch.manual_seed(0)
    real = torch.randn(800, 4)
    like = support_measures(torch.randn(800, 4), real)
    assert like["alpha_precision"] > 0.95
    assert support_measures(real, real)["alpha_precision"] == pytest.approx(1, abs=0.01)
    narrow, wide = support_measures(0.3 * torch.randn(800, 4), real), support_measures(3 * torch.randn(800, 4), real)
    assert narrow["alpha_precision"] < 0.4
    assert wide["alpha_precision"] < 0.4
    assert max(narrow["beta_recall"], wide["beta_recall"]) < like["beta_recall"] - 0.1


def test_copies_of_training_rows_are_found():
    train, held_out = sample(500, 0), sample(500, 1)
    assert copies(held_out, train) < 0.01
    half = Rows(np.concatenate([train.values[:250], held_out.values[:250]]), NAMES, train.words)
    assert copies(half, train) == pytest.approx(0.5, abs=0.01)
    points = {name: torch.randn(500, 3, generator=torch.Generator().manual_seed(i)) for i, name in enumerate("tfh")}
    honest = privacy(points["f"], points["h"], points["t"], held_out, train)
    assert honest["nearer_to_train"] == pytest.approx(0.5, abs=0.07)
    thief = privacy(points["t"] + 1e-4, points["h"], points["t"], train, train)
    assert thief["nearer_to_train"] > 0.99
    assert thief["closest_record"] < 1e-2
    assert thief["exact_copies"] == 1


def test_tables_of_unlike_columns_are_refused():
    rows = sample(20, 0)
    with pytest.raises(ValueError, match="different columns"):
        same_length(rows, Rows(rows.values, ("a", "b", "c", "d"), rows.words))
    with pytest.raises(ValueError, match="needs two rows"):
        same_length(rows.head(1), rows)


def test_the_floor_of_copies_is_that_of_held_out_rows():
    from conftest import dataset

    data = dataset("table")
    judge = TableJudge(data, "test", 10, reasons={})
    floor, noise = judge.calibration(10)
    assert floor["exact_copies"] == 0  # of training rows it would be 1
    assert {"column_ks", "trend_error"} <= set(noise)
    assert judge.columns(data.real("train", 50)).keys() == {"colour", "size", "count", "when", "big"}
