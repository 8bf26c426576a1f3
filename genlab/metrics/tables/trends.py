"""How far the dependence of each pair of columns is from the real one.

    numbers, numbers   Spearman's rank correlation, in [-1, 1]: one outlier does not decide
    words, words       Cramér's V without bias correction, in [0, 1]
    words, numbers     the correlation ratio η of the ranks, in [0, 1]: the square root of the share of their variance
                       that lies between the words

The measure is the mean of |a_fake - a_real| over all pairs. Rows with a missing number are left out of its pairs.

H. Cramér, "Mathematical Methods of Statistics", 1946, chapter 21; R. A. Fisher, "Statistical Methods for Research
Workers", 1925 (the correlation ratio). The same idea with Pearson correlations and contingency tables is the "Column
Pair Trends" score of SDMetrics, https://docs.sdv.dev/sdmetrics.
"""

import numpy as np

from genlab.metrics.tables.rows import Rows


def associations(rows: Rows) -> np.ndarray:
    """The dependence of each pair of columns: (C, C), 1 on the diagonal, 0 for a column that does not vary."""
    from scipy.stats import rankdata

    columns = []
    for words, x in zip(rows.words, rows.values.T, strict=True):
        columns.append(x.astype(np.int64) if words else np.where(np.isnan(x), np.nan, rankdata(x, nan_policy="omit")))
    result = np.eye(len(columns))
    for i in range(len(columns)):
        for j in range(i):
            result[i, j] = result[j, i] = _pair(columns[i], columns[j], rows.words[i], rows.words[j])
    return result


def _pair(x: np.ndarray, y: np.ndarray, x_words: int, y_words: int) -> float:
    if x_words and y_words:
        return cramers_v(x, y, x_words, y_words)
    if x_words:
        return correlation_ratio(x, y, x_words)
    if y_words:
        return correlation_ratio(y, x, y_words)
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    if len(x) < 2 or not x.std() or not y.std():
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def cramers_v(x: np.ndarray, y: np.ndarray, x_words: int, y_words: int) -> float:
    """√(χ² / (n (min(r, c) - 1))) of two columns of words (N,), over the words that occur."""
    table = np.bincount(x * y_words + y, minlength=x_words * y_words).reshape(x_words, y_words).astype(float)
    table = table[table.any(1)][:, table.any(0)]
    smaller = min(table.shape) - 1
    if smaller < 1:
        return 0.0
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    return float(np.sqrt(((table - expected) ** 2 / expected).sum() / (table.sum() * smaller)))


def correlation_ratio(words: np.ndarray, y: np.ndarray, count: int) -> float:
    """η of numbers y (N,), some of them missing, by words (N,)."""
    known = ~np.isnan(y)
    words, y = words[known], y[known]
    if len(y) < 2 or not y.var():
        return 0.0
    sizes = np.bincount(words, minlength=count)
    means = np.bincount(words, y, minlength=count) / np.maximum(sizes, 1)
    return float(np.sqrt((sizes * (means - y.mean()) ** 2).sum() / len(y) / y.var()))


def trend_error(fake: Rows, real: Rows) -> dict[str, float]:
    """The mean difference of the associations over all pairs; {} for a single column."""
    if len(real.names) < 2:
        return {}
    pairs = np.tril_indices(len(real.names), -1)
    return {"trend_error": float(np.abs(associations(fake) - associations(real))[pairs].mean())}
