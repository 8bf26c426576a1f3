"""Anomaly scores from a generative model, and how well they separate two data sets.

A score s(x) is higher the more anomalous x looks:

    likelihood      s(x) = -log p(x)                 nats (flows, ODEs)
    bound           s(x) = -ELBO(x)                  nats (VAEs)
    reconstruction  s(x) = Σ (x - x̂(x))²             squared error, summed over dimensions, in the model's range

    AUROC = P(s(anomalous) > s(normal)) + ½ P(s(anomalous) = s(normal)) = U / (n m)

where U is the Mann-Whitney statistic: 0.5 is guessing, 1 is perfect, and below 0.5 the score points the wrong way. That
happens: a model may assign simpler images a higher likelihood than the images it was trained on.

J. A. Hanley, B. J. McNeil, "The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve",
1982, https://doi.org/10.1148/radiology.143.1.7063747.
E. Nalisnick et al., "Do Deep Generative Models Know What They Don't Know?", 2019, https://arxiv.org/abs/1810.09136.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]  # (B, *shape) -> (B,), higher is more anomalous


def likelihood_score(log_prob: Callable[[Tensor], Tensor]) -> Score:
    """Returns the score -log p(x) in nats, from an exact log-density (B, *shape) -> (B,)."""
    return lambda x: -log_prob(x)


def bound_score(elbo: Callable[[Tensor, int], Tensor], k: int = 1) -> Score:
    """Returns the score -ELBO(x) in nats, from a lower bound of log p(x) with `k` samples. Draws random numbers."""
    return lambda x: -elbo(x, k)


def reconstruction_score(reconstruct: Callable[[Tensor], Tensor]) -> Score:
    """Returns the score Σ (x - x̂)², from reconstructions (B, *shape) -> (B, *shape)."""
    return lambda x: (reconstruct(x) - x).float().square().flatten(1).sum(1)


def auroc(normal: Tensor, anomalous: Tensor) -> float:
    """Returns the chance that an anomalous sample scores above a normal one, ties counting half: (n,), (m,) -> [0, 1].

    U = R - m (m + 1) / 2, where R is the sum of the ranks of the m anomalous scores among all scores; equal scores
    share their mean rank.

    Raises:
        ValueError: one side has no scores, or a score is NaN.
    """
    scores = torch.cat([normal.flatten(), anomalous.flatten()]).double()
    n, m = normal.numel(), anomalous.numel()
    if n == 0 or m == 0 or scores.isnan().any():
        raise ValueError("scores must not be NaN, with at least one on each side")
    _, group, counts = torch.unique(scores, return_inverse=True, return_counts=True)  # groups of equal scores, sorted
    rank = counts.cumsum(0).double() - 0.5 * (counts.double() - 1)  # mean rank of each group, starting at 1
    return ((rank[group[n:]].sum() - 0.5 * m * (m + 1)) / (n * m)).item()


@torch.no_grad()
def separation(scores: Mapping[str, Score], normal: Tensor, anomalous: Tensor, chunk: int = 500) -> dict[str, float]:
    """Returns the AUROC of each score between two data sets, by name: `auroc/NAME`.

    Args:
        scores: scores by name, made from a model's abilities by the functions above.
        normal, anomalous: samples (N, *shape) and (M, *shape) in the model's range.
        chunk: samples scored at a time.
    """
    values = {}
    for name, score in scores.items():
        both = [torch.cat([score(part) for part in x.split(chunk)]) for x in (normal, anomalous)]
        values[f"auroc/{name}"] = auroc(*both)
    return values
