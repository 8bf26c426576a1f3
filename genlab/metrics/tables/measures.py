"""All measures of a table, in the order of a report."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from torch import Tensor

from genlab.metrics.measure import Measure
from genlab.metrics.neighbours import nearest_distances
from genlab.metrics.tables import boosting, marginals, trends
from genlab.metrics.tables.rows import Rows, same_length
from genlab.metrics.tables.support import support_measures
from genlab.metrics.wasserstein import sliced_w2

NEAREST = 5000  # rows of each side whose nearest neighbours are searched


def table_parts(
    fake: Rows,
    real: Rows,
    train: Rows,
    fake_scores: Tensor,
    real_scores: Tensor,
    train_scores: Tensor,
    label: str = "",
    encoded: Rows | None = None,
) -> dict[str, Callable[[], Mapping[str, float]]]:
    """The measures of fake rows against held-out real ones and training rows, by the name of a reason.

    Args:
        fake_scores, real_scores, train_scores: the same rows in numbers in which distances make sense, (N, D).
        label: the column that is predicted from the others; "" for none.
        encoded: the fake rows as the training rows are kept, to find copies among them; None: as they are.
    """

    def both() -> tuple[Rows, Rows]:
        return same_length(fake, real)

    n = min(len(fake), len(real))
    parts: dict[str, Callable[[], Mapping[str, float]]] = {
        "columns": lambda: marginals.marginal_measures(*both()),
        "trends": lambda: trends.trend_error(*both()),
        "detection": lambda: boosting.detection(*both()),
        "utility": partial(boosting.utility, fake, real, label),
        "support": lambda: support_measures(fake_scores[: min(n, NEAREST)], real_scores[: min(n, NEAREST)]),
        "sliced_w2": lambda: {"sliced_w2": sliced_w2(fake_scores[:n], real_scores[:n])},
        "missing": lambda: marginals.missing_error(*both()),
        "out_of_range": lambda: marginals.out_of_range(fake, train),
        "privacy": lambda: privacy(fake_scores, real_scores, train_scores, encoded or fake, train),
    }
    if not label:
        del parts["utility"]
    return parts


def privacy(fake: Tensor, held_out: Tensor, train: Tensor, rows: Rows, train_rows: Rows) -> dict[str, float]:
    """Whether samples are nearer to training rows than held-out rows are.

    Training rows are cut to as many as there are held-out ones, so that either is as likely to be the nearest one.
    """
    n = min(len(held_out), len(train), NEAREST)
    fake = fake[:NEAREST]
    to_train, to_held_out = nearest_distances(fake, train[:n]), nearest_distances(fake, held_out[:n])
    nearer = (to_train < to_held_out).double() + 0.5 * (to_train == to_held_out).double()
    every = nearest_distances(fake, train)
    return {
        "nearer_to_train": nearer.mean().item(),
        "closest_record": every.median().item(),
        "exact_copies": copies(rows.head(len(fake)), train_rows),
    }


def copies(rows: Rows, train: Rows) -> float:
    """The share of rows that are in the training data cell by cell."""
    known = {row.tobytes() for row in np.ascontiguousarray(np.nan_to_num(train.values, nan=np.inf))}
    own = np.ascontiguousarray(np.nan_to_num(rows.values, nan=np.inf))
    return sum(row.tobytes() in known for row in own) / max(len(own), 1)


MEASURES = (
    Measure("column_ks", "mean Kolmogorov-Smirnov statistic of the columns of numbers", "min"),
    Measure("column_tv", "mean total variation of the columns of words", "min"),
    Measure("column_worst", "largest of these of all columns", "min"),
    Measure("trend_error", "mean difference of the associations of all pairs of columns", "min"),
    Measure("detection_auc", "AUC of gradient boosting that tells samples from real rows", "near 0.5"),
    Measure("utility_auc", "AUC on real rows of gradient boosting trained on samples", "max"),
    Measure("utility_r2", "R² on real rows of gradient boosting trained on samples", "max"),
    Measure("alpha_precision", "whether samples are as typical as real rows, 1 at best", "max"),
    Measure("beta_recall", "whether samples cover the real rows; the floor is what real rows reach", "max"),
    Measure("missing_error", "largest difference of a column's share of missing cells", "min"),
    Measure("out_of_range", "share of samples with a value that no training row allows", "min"),
    Measure("nearer_to_train", "share of samples nearer to a training sample than to a held-out one", "near 0.5"),
    Measure("closest_record", "median distance to the closest training row, in normal scores", ""),
    Measure("exact_copies", "share of samples that equal a training sample, cell by cell", "min"),
)
