"""Gradient-boosted trees as judges: can they tell samples from real rows, and do they learn as well from samples?

    detection   AUC of a classifier of real against generated rows, by five-fold cross-validation: 0.5 if it cannot
                tell, 1 if it always can (the two-sample test by classifier)
    utility     trained on samples and tested on real rows, to predict the label from the other columns: the AUC of
                classes (one against the rest, weighted by their shares), R² of a number. The floor is the same of real
                training rows

Trees are scikit-learn's histogram-based ones, which take categories and missing numbers as they are.

D. Lopez-Paz, M. Oquab, "Revisiting Classifier Two-Sample Tests", 2017, https://arxiv.org/abs/1610.06545.
C. Esteban, S. Hyland, G. Rätsch, "Real-valued (Medical) Time Series Generation with Recurrent Conditional GANs", 2017,
https://arxiv.org/abs/1706.02633 (train on synthetic, test on real).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genlab.errors import UserError
from genlab.metrics.tables.rows import Rows

FOLDS = 5
MOST = 10_000  # rows of each side: beyond, the figure hardly moves and the time grows
BINS = 255  # words of a category that scikit-learn's trees take


def sklearn() -> None:
    """Checks that scikit-learn is installed.

    Raises:
        UserError: it is not.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise UserError("needs scikit-learn: pip install 'genlab[tables]'") from error


def detection(fake: Rows, real: Rows, seed: int = 0) -> dict[str, float]:
    """The AUC of a boosted classifier of fake against real rows, cross-validated; as many of each, MOST at most.

    Raises:
        ValueError: there are fewer than 2 x FOLDS rows of a side.
    """
    sklearn()
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    n = min(len(fake), len(real), MOST)
    if n < 2 * FOLDS:
        raise ValueError(f"needs {2 * FOLDS} rows at least on each side; there are {len(fake)} and {len(real)}")
    x = np.concatenate([real.values[:n], fake.values[:n]])
    y = np.repeat([0, 1], n)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    scores: Any = cross_val_predict(_trees(real.words, seed), x, y, cv=folds, method="predict_proba")
    return {"detection_auc": float(roc_auc_score(y, scores[:, 1]))}


def utility(fake: Rows, real: Rows, label: str, seed: int = 0) -> dict[str, float]:
    """How well trees that were trained on fake rows predict the label of real ones.

    Raises:
        ValueError: the label has one value only on either side.
    """
    sklearn()
    from sklearn.metrics import r2_score, roc_auc_score

    place = real.names.index(label)
    others = np.arange(len(real.names)) != place
    (x, y), (test_x, test_y) = ((rows.values[:, others], rows.values[:, place]) for rows in (fake, real))
    kept, test_kept = ~np.isnan(y), ~np.isnan(test_y)
    x, y, test_x, test_y = x[kept], y[kept], test_x[test_kept], test_y[test_kept]
    words = [count for i, count in enumerate(real.words) if i != place]
    if len(np.unique(y)) < 2 or len(np.unique(test_y)) < 2:
        raise ValueError(f"the column '{label}' has one value only")
    if not real.words[place]:
        model = _trees(words, seed, regression=True).fit(x, y)
        return {"utility_r2": float(r2_score(test_y, model.predict(test_x)))}
    model = _trees(words, seed).fit(x, y)
    shares = np.zeros((len(test_y), real.words[place]))
    shares[:, model.classes_.astype(np.int64)] = model.predict_proba(test_x)
    present, counts = np.unique(test_y.astype(np.int64), return_counts=True)
    aucs = [roc_auc_score(test_y == k, shares[:, k]) for k in present.tolist()]
    return {"utility_auc": float(np.average(aucs, weights=counts))}


def _trees(words: Sequence[int], seed: int, regression: bool = False) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    categories = [0 < count <= BINS for count in words]
    make: Any = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return make(categorical_features=categories, random_state=seed, early_stopping=False)
