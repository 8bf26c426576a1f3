"""How far each column's distribution is from the real one: Kolmogorov-Smirnov or total variation, missing cells, range.

    numbers   D = max_t |F_x(t) - F_y(t)|, over the cells that are not missing
    words     TV = ½ Σ_k |p_k - q_k|, a missing cell being a word

Both lie between 0 and 1 and are one minus the "KSComplement" and "TVComplement" of SDMetrics (https://docs.sdv.dev/
sdmetrics), whose mean over the columns is its "Column Shapes" score.
"""

from typing import Any

import numpy as np

from genlab.metrics.tables.rows import Rows


def by_column(fake: Rows, real: Rows) -> dict[str, float]:
    """The distance of each column, worst first; 1 for a column of numbers that is missing throughout on one side."""
    from scipy.stats import ks_2samp

    found = {}
    for name, words, x, y in zip(real.names, real.words, fake.values.T, real.values.T, strict=True):
        if words:
            found[name] = total_variation(x, y, words)
            continue
        x, y = x[~np.isnan(x)], y[~np.isnan(y)]
        if len(x) and len(y):
            result: Any = ks_2samp(x, y, method="asymp")
            found[name] = float(result.statistic)
        else:
            found[name] = float(len(x) != len(y))
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def total_variation(x: np.ndarray, y: np.ndarray, words: int) -> float:
    """½ Σ_k |p_k - q_k| of the words' indices x (N,) and y (M,)."""
    p, q = (np.bincount(k.astype(np.int64), minlength=words) / len(k) for k in (x, y))
    return float(np.abs(p - q).sum() / 2)


def marginal_measures(fake: Rows, real: Rows) -> dict[str, float]:
    """The means over the columns of numbers and of words, and the worst column."""
    columns = by_column(fake, real)
    numbers = [columns[name] for name, words in zip(real.names, real.words, strict=True) if not words]
    words = [columns[name] for name, words in zip(real.names, real.words, strict=True) if words]
    found = {"column_ks": float(np.mean(numbers))} if numbers else {}
    if words:
        found["column_tv"] = float(np.mean(words))
    return found | {"column_worst": max(columns.values())}


def missing_error(fake: Rows, real: Rows) -> dict[str, float]:
    """The largest difference of a column's share of missing cells; {} if none is missing on either side."""
    x, y = (rows.missing().mean(0) for rows in (fake, real))
    return {"missing_error": float(np.abs(x - y).max())} if (x + y).any() else {}


def out_of_range(fake: Rows, known: Rows) -> dict[str, float]:
    """The share of rows with a number outside of the extremes of `known`, or a word that it lacks."""
    bad = np.zeros(len(fake), bool)
    for words, x, y in zip(known.words, fake.values.T, known.values.T, strict=True):
        if words:
            bad |= ~np.isin(x, y)
        elif (~np.isnan(y)).any():
            bad |= (x < np.nanmin(y)) | (x > np.nanmax(y))
    return {"out_of_range": float(bad.mean())}
