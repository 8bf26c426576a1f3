"""AUROC against its definition, and anomaly scores against known densities."""

import math

import pytest
import torch

from genlab.metrics.anomaly import auroc, bound_score, likelihood_score, reconstruction_score, separation


def auroc_by_double_loop(normal, anomalous) -> float:
    wins = sum((a > n) + 0.5 * (a == n) for a in anomalous.tolist() for n in normal.tolist())
    return wins / (len(normal) * len(anomalous))


@pytest.mark.parametrize("levels", [3, 20, 10**6])
def test_auroc_matches_a_double_loop_including_ties(levels):
    generator = torch.Generator().manual_seed(levels)
    for n, m in ((1, 1), (7, 40), (60, 31)):
        normal = torch.randint(levels, (n,), generator=generator)
        anomalous = torch.randint(levels + levels // 3, (m,), generator=generator)
        assert auroc(normal, anomalous) == pytest.approx(auroc_by_double_loop(normal, anomalous), abs=1e-12)  # float64


def test_auroc_of_gaussians_matches_the_closed_form():
    """P(N(d, 1) > N(0, 1)) = Φ(d / √2), within four standard errors for 20,000 samples of each."""
    generator = torch.Generator().manual_seed(0)
    normal, anomalous = torch.randn(2, 20_000, generator=generator, dtype=torch.float64)
    exact = 0.5 * (1 + math.erf(1 / 2))
    assert abs(auroc(normal, anomalous + 1) - exact) < 0.01
    assert auroc(normal, normal) == pytest.approx(0.5)
    assert auroc(normal, anomalous + 100) == 1.0
    assert auroc(normal, anomalous - 100) == 0.0


def test_auroc_accepts_infinite_scores_and_refuses_nan():
    infinity = torch.tensor([math.inf])
    assert auroc(torch.zeros(3), infinity) == 1.0
    assert auroc(infinity, infinity) == 0.5
    with pytest.raises(ValueError, match="NaN"):
        auroc(torch.tensor([math.nan]), infinity)
    with pytest.raises(ValueError, match="at least one"):
        auroc(torch.zeros(0), infinity)


def test_scores_are_higher_for_anomalous_samples():
    def log_prob(x):
        return -0.5 * x.square().sum(1)

    def elbo(x, k):
        return log_prob(x) - 1 / k

    def reconstruct(x):
        return x.clamp(-1, 1)

    x = torch.tensor([[0.0, 0.5], [3.0, 1.0]])
    assert likelihood_score(log_prob)(x).tolist() == [0.125, 5.0]
    assert bound_score(elbo, k=4)(x).tolist() == [0.375, 5.25]
    assert reconstruction_score(reconstruct)(x).tolist() == [0.0, 4.0]  # summed over dimensions
    scores = {
        "likelihood": likelihood_score(log_prob),
        "bound": bound_score(elbo),
        "reconstruction": reconstruction_score(reconstruct),
    }
    far = x + torch.tensor([[10.0, 0.0]])
    assert separation(scores, x, far, chunk=1) == {f"auroc/{name}": 1.0 for name in scores}
