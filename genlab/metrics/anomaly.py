"""Anomaly scores from a generative model, and how well they tell two data sets apart.

A score s(x) is higher the more anomalous x looks:

    likelihood      s(x) = -log p(x)                 nats (flows, ODEs)
    bound           s(x) = -ELBO(x)                  nats (VAEs)
    reconstruction  s(x) = Σ (x - x̂(x))²             squared error, summed over dimensions, in the model's range

    AUROC = P(s(anomalous) > s(normal)) + ½ P(s(anomalous) = s(normal)) = U / (n m)

with U the statistic of Mann and Whitney: 0.5 is guessing, 1 is perfect, below 0.5 the score points the wrong way. That
happens: a model may give images of a simpler kind more likelihood than those it was trained on.

J. A. Hanley, B. J. McNeil, "The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve",
1982, https://doi.org/10.1148/radiology.143.1.7063747.
E. Nalisnick et al., "Do Deep Generative Models Know What They Don't Know?", 2019, https://arxiv.org/abs/1810.09136.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]  # (B, *shape) -> (B,), higher is more anomalous


def likelihood_score(log_prob: Callable[[Tensor], Tensor]) -> Score:
    """-log p(x) in nats, from an exact log-density (B, *shape) -> (B,)."""
    return lambda x: -log_prob(x)


def bound_score(elbo: Callable[[Tensor, int], Tensor], k: int = 1) -> Score:
    """-ELBO(x) in nats, from a lower bound of log p(x) by `k` samples. Draws randomness."""
    return lambda x: -elbo(x, k)


def reconstruction_score(reconstruct: Callable[[Tensor], Tensor]) -> Score:
    """Σ (x - x̂)², from reconstructions (B, *shape) -> (B, *shape)."""
    return lambda x: (reconstruct(x) - x).float().square().flatten(1).sum(1)


def auroc(normal: Tensor, anomalous: Tensor) -> float:
    """Chance that an anomalous sample scores above a normal one, ties counting half: (n,), (m,) -> [0, 1].

    U = R - m (m + 1) / 2, R the sum of the ranks of the m anomalous scores among all; equal scores share their mean
    rank.

    Raises:
        ValueError: no scores on one side, or one that is not a number.
    """
    scores = torch.cat([normal.flatten(), anomalous.flatten()]).double()
    n, m = normal.numel(), anomalous.numel()
    if n == 0 or m == 0 or scores.isnan().any():
        raise ValueError("scores must be numbers, at least one on each side")
    _, group, counts = torch.unique(scores, return_inverse=True, return_counts=True)  # groups of equal scores, sorted
    rank = counts.cumsum(0).double() - 0.5 * (counts.double() - 1)  # mean rank of each group, counted from 1
    return ((rank[group[n:]].sum() - 0.5 * m * (m + 1)) / (n * m)).item()


@torch.no_grad()
def separation(scores: Mapping[str, Score], normal: Tensor, anomalous: Tensor, chunk: int = 500) -> dict[str, float]:
    """AUROC of each score between two data sets, by name: `auroc/NAME`.

    Args:
        scores: by name, what one of the functions above made of a model's ability.
        normal, anomalous: samples (N, *shape) and (M, *shape) in the model's range.
        chunk: samples scored at a time.
    """
    values = {}
    for name, score in scores.items():
        both = [torch.cat([score(part) for part in x.split(chunk)]) for x in (normal, anomalous)]
        values[f"auroc/{name}"] = auroc(*both)
    return values
