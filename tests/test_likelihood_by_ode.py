"""Densities by an ODE: score models and flow matching against exact log-densities."""

import math

import pytest
import torch
from closed_forms import (
    IMAGES,
    MEAN,
    POINTS,
    STD,
    Exact,
    best_score,
    levels,
    log_density,
    mixture_flow_matching,
    mixture_score,
    small,
)
from torch import Tensor, nn
from torch.distributions import Normal

from genlab.data import gaussian2d
from genlab.models import flow_matching, ode, score
from genlab.models.flow_matching import FlowMatching
from genlab.models.score import Score
from genlab.networks.timed_mlp import TimedMLP


def test_the_ode_likelihood_of_a_gaussian_is_exact() -> None:
    x = MEAN + STD * torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double()
    model = best_score(likelihood_steps=200)
    # x_1 is taken as N(0, I), but its mean is α_1 MEAN = 0.005: an error of that times 2 or 3 deviations.
    torch.testing.assert_close(model.log_prob(x), log_density(x), rtol=0, atol=0.02)
    torch.testing.assert_close(model.log_prob(x).mean(), log_density(x).mean(), rtol=0, atol=3e-3)


def bimodal(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Returns log p_t of ½ N(-1, 0.2²) + ½ N(1, 0.2²) in each of two coordinates: (B, 2) -> (B,)."""
    std = (0.04 * alpha**2 + sigma**2).sqrt()
    parts = torch.stack([Normal(mean * alpha, std).log_prob(x) for mean in (-1.0, 1.0)])
    return (parts.logsumexp(0) - math.log(2)).sum(1)


def test_the_ode_likelihood_of_a_mixture_is_exact() -> None:
    def formula(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = levels(t)
        return -sigma * torch.func.grad(lambda points: bimodal(points, alpha, sigma).sum())(x)

    model = Score(POINTS, likelihood_steps=200)
    model.net = Exact(formula)
    x = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)).double()
    # The error of midpoint steps is quadratic in their size: 0.05 with 100 steps, 0.011 with 200, 0.003 with 400.
    exact = bimodal(x, torch.ones(1, 1).double(), torch.zeros(1, 1).double())
    torch.testing.assert_close(model.double().log_prob(x), exact, rtol=0, atol=0.02)


@pytest.mark.parametrize("make", [mixture_score, mixture_flow_matching])
@pytest.mark.parametrize("kind", ["two", "ring", "grid"])
def test_the_default_likelihood_of_narrow_modes_is_exact(kind: str, make) -> None:
    """Uses the best net for a mixture; 100 midpoint steps of a score model would be 0.021 nats off."""
    known = gaussian2d.mixture(kind)
    assert known is not None
    x = known.sample(500, torch.Generator().manual_seed(0))[0].double()
    assert (make(known).log_prob(x) - known.log_prob(x)).mean().abs().item() < 3e-3


def test_the_likelihood_accounts_for_the_scale() -> None:
    """For data twice as wide, the density of x at scale 2 is that of x / 2 divided by 2²."""
    x = torch.randn(10, 2).double()
    for make in (best_score, lambda: FlowMatching(POINTS, net=small).double()):
        model = make()
        before = model.log_prob(x)
        model.mean_square.fill_(4.0)
        torch.testing.assert_close(model.log_prob(2 * x), before - 2 * math.log(2))


def straight(x: Tensor, t: Tensor) -> Tensor:
    """Returns the best velocity of flow matching for data N(MEAN, STD²) and sigma_min 0."""
    slope = (t * STD**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * STD**2)
    return MEAN + slope * (x - t * MEAN)


def test_flow_matching_samples_and_likelihoods_of_a_gaussian_are_exact() -> None:
    torch.manual_seed(0)
    model = FlowMatching(POINTS, sigma_min=0.0, likelihood_steps=200, sample_steps=100)
    model.net = Exact(straight)
    model = model.double()
    x = model.sample(5000)
    assert ((x.mean(0) - MEAN).abs() < 4 * STD / 5000**0.5).all()
    assert ((x.std(0) / STD - 1).abs() < 4 / 10000**0.5).all()
    torch.testing.assert_close(model.log_prob(x[:50]), log_density(x[:50]), rtol=0, atol=2e-3)


def test_the_velocity_is_the_derivative_of_the_path() -> None:
    noise, x, t = torch.randn(6, 2).double(), torch.randn(6, 2).double(), torch.rand(6).double().requires_grad_()
    for sigma_min in (0.0, 0.1):
        x_t, velocity = flow_matching.path(noise, x, t, sigma_min)
        for i in (0, 1):
            slope = torch.autograd.grad(x_t[:, i].sum(), t, retain_graph=True)[0]
            torch.testing.assert_close(velocity[:, i], slope)
        torch.testing.assert_close(flow_matching.path(noise, x, 0 * t, sigma_min)[0], noise)
        end = flow_matching.path(noise, x, torch.ones_like(t), sigma_min)[0]
        torch.testing.assert_close(end, x + sigma_min * noise)


def test_the_divergence_matches_autograd() -> None:
    torch.manual_seed(0)
    net = TimedMLP((3,), hidden=16, blocks=1).double()
    nn.init.normal_(net.last.weight)
    x, t = torch.randn(4, 3).double(), torch.full((4,), 0.3).double()
    _, exact = ode.with_divergence(lambda points: net(points, t), x, None)
    for i in range(4):
        jacobian = torch.autograd.functional.jacobian(lambda point: net(point[None], t[:1])[0], x[i])
        torch.testing.assert_close(exact[i], jacobian.diagonal().sum())
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 3)  # all signs: the mean is the trace
    estimates = [ode.with_divergence(lambda points: net(points, t), x, s.expand(4, 3))[1] for s in signs]
    torch.testing.assert_close(torch.stack(estimates).mean(0), exact)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_ode_solvers_have_the_expected_order(solver: str, order: int) -> None:
    """dx/dt = x cos t from 0 to 2: halving the step divides the error by 2^order."""

    def error(steps: int) -> float:
        times = [2 * i / steps for i in range(steps + 1)]
        end = ode.integrate(lambda x, t: x * math.cos(t), torch.ones(1, 1).double(), times, solver)
        return abs(end.item() - math.exp(math.sin(2)))

    assert error(20) / error(40) == pytest.approx(2**order, rel=0.25)


def test_the_hutchinson_likelihood_of_images_is_finite() -> None:
    for family in (Score, FlowMatching):
        model = family(IMAGES, net=small, likelihood_steps=2)
        assert model.log_prob(torch.rand(2, 1, 28, 28)).isfinite().all()


def test_time_of_inverts_noise_ratio() -> None:
    for t in (1e-5, 1e-3, 0.3, 1.0):
        assert score.time_of(score.noise_ratio(t)) == pytest.approx(t, rel=1e-9)
