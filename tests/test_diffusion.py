"""Diffusion, score models, flow matching and latent diffusion against closed forms."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.distributions import Normal

from genlab import build
from genlab.data.base import Spec
from genlab.errors import UserError
from genlab.models import ddpm, flow_matching, ode, score
from genlab.models.base import Family
from genlab.models.ddpm import DDPM
from genlab.models.diffusion import PREDICTIONS, mixture, separate, target
from genlab.models.flow_matching import FlowMatching
from genlab.models.gan import GAN
from genlab.models.latent_diffusion import LatentDiffusion
from genlab.models.score import Score
from genlab.models.vae import VAE
from genlab.networks.denoisers import denoiser
from genlab.networks.timed_mlp import TimedMLP
from genlab.networks.unet import UNet
from genlab.run import Run
from genlab.trainer import checkpoint

POINTS = Spec((2,), classes=2)
IMAGES = Spec((1, 28, 28), classes=10, range="symmetric")
MEAN, STD = torch.tensor([0.3, -0.8]).double(), torch.tensor([0.5, 1.2]).double()  # of Gaussian data in the plane


def step(number: int = 0) -> Tensor:
    return torch.tensor(number)


def batch(spec: Spec, n: int = 8) -> dict[str, Tensor]:
    return {"x": torch.randn(n, *spec.shape).tanh(), "y": torch.arange(n) % spec.classes, "step": step()}


def small(shape: Sequence[int], classes: int) -> nn.Module:
    return denoiser(shape, classes, hidden=32, blocks=1, width=8)


class Exact(nn.Module):
    """A net that is a formula of (x, t), with one idle parameter that tells the family its device."""

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.formula, self.idle = formula, nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return self.formula(x, t[:, None])


def best_noise(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """E[ε | x_t] for data N(MEAN, STD²)."""
    return sigma * (x - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)


def levels(t: Tensor) -> tuple[Tensor, Tensor]:
    """α and σ of the continuous diffusion."""
    b = score.log_ratio(t)
    return (-0.5 * b).exp(), (-torch.expm1(-b)).sqrt()


def best_ddpm(**options: Any) -> DDPM:
    model = DDPM(POINTS, **options)

    def formula(x: Tensor, t: Tensor) -> Tensor:
        step = (t * model.timesteps).round().long()
        return best_noise(x, model.alpha[step], model.sigma[step])

    model.net = Exact(formula)
    model = model.double()
    model.alpha, model.sigma = model.bars.sqrt(), (1 - model.bars).sqrt()  # float64, not rounded on the way
    return model


def best_score(**options: Any) -> Score:
    model = Score(POINTS, **options)
    model.net = Exact(lambda x, t: best_noise(x, *levels(t)))
    return model.double()


def log_density(x: Tensor) -> Tensor:
    return Normal(MEAN, STD).log_prob(x).sum(1)


# The forward process


@pytest.mark.parametrize("schedule", ddpm.SCHEDULES)
@pytest.mark.parametrize("timesteps", [20, 1000])
def test_schedules(schedule: str, timesteps: int) -> None:
    bars = ddpm.alpha_bars(schedule, timesteps)
    assert bars.shape == (timesteps + 1,)
    assert bars.dtype == torch.float64
    assert bars[0] == 1
    assert (bars[1:] < bars[:-1]).all()
    assert (bars > 0).all()
    assert bars[-1] < 5e-4  # nothing is left of the sample


def test_linear_schedule_is_that_of_the_paper() -> None:
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    torch.testing.assert_close(ddpm.alpha_bars("linear", 1000)[1:], (1 - beta).cumprod(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("schedule", ddpm.SCHEDULES)
def test_jump_equals_the_steps(schedule: str) -> None:
    """Mean factor and variance of q(x_t|x_0) against the product of all q(x_i|x_{i-1})."""
    bars = ddpm.alpha_bars(schedule, 200)
    factor, variance = torch.ones(()).double(), torch.zeros(()).double()
    for t in range(1, 201):
        beta = 1 - bars[t] / bars[t - 1]
        factor, variance = (1 - beta).sqrt() * factor, (1 - beta) * variance + beta
        torch.testing.assert_close(factor, bars[t].sqrt(), rtol=1e-12, atol=0)
        torch.testing.assert_close(variance, 1 - bars[t], rtol=1e-12, atol=1e-15)
    x, noise = torch.randn(3, 2).double(), torch.randn(3, 2).double()
    torch.testing.assert_close(
        mixture(x, noise, factor, variance.sqrt()), bars[-1].sqrt() * x + (1 - bars[-1]).sqrt() * noise
    )


def test_posterior_is_bayes_rule() -> None:
    """The precision and mean of q(x_s|x_t, x_0) from the product of q(x_t|x_s) and q(x_s|x_0)."""
    bars = ddpm.alpha_bars("linear", 100)
    for t, s in [(2, 1), (50, 49), (100, 37)]:
        ratio = bars[t] / bars[s]
        precision = ratio / (1 - ratio) + 1 / (1 - bars[s])
        from_x, from_x_t, variance = ddpm.posterior(bars[s], bars[t])
        torch.testing.assert_close(variance, 1 / precision)
        torch.testing.assert_close(from_x, bars[s].sqrt() / (1 - bars[s]) / precision)
        torch.testing.assert_close(from_x_t, ratio.sqrt() / (1 - ratio) / precision)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_predictions_convert_exactly(kind: str) -> None:
    x, noise = torch.randn(2, 16, 2, dtype=torch.float64)
    for angle in (0.1, 0.8, 1.5):
        alpha, sigma = math.cos(angle), math.sin(angle)
        x_t = mixture(x, noise, alpha, sigma)
        clean, found = separate(kind, x_t, target(kind, x, noise, alpha, sigma), alpha, sigma)
        torch.testing.assert_close(clean, x, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(found, noise, rtol=1e-10, atol=1e-12)


# Samplers


@pytest.mark.parametrize("schedule", ddpm.SCHEDULES)
@pytest.mark.parametrize("steps", [200, 30])
def test_ddim_with_eta_one_is_ancestral(schedule: str, steps: int) -> None:
    """As functions of (x_0, x_t), the means of both have the same factors, and the variances are the same."""
    bars, times = ddpm.alpha_bars(schedule, 200), ddpm.sample_times(200, steps)
    for t, s in pairwise(times):
        from_x, from_noise, variance = ddpm.ddim(bars[s], bars[t], 1.0)
        a, b, c = ddpm.posterior(bars[s], bars[t])
        # ε = (x_t - α x_0) / σ
        in_x_t = from_noise / (1 - bars[t]).sqrt()
        torch.testing.assert_close(in_x_t, b, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(from_x - in_x_t * bars[t].sqrt(), a, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(variance, c, rtol=1e-12, atol=0)


def test_one_step_of_both_samplers_agrees() -> None:
    one, other = best_ddpm(sampler="ancestral", variance="small"), best_ddpm(sampler="ddim", eta=1.0)
    x = torch.randn(5, 2).double()
    for t in (1000, 400, 2, 1):
        torch.manual_seed(0)
        a = one.reverse(x, t, t - 1)
        torch.manual_seed(0)
        torch.testing.assert_close(a, other.reverse(x, t, t - 1), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("timesteps", "steps"), [(1000, 1000), (1000, 50), (20, 20), (20, 1), (100, 99)])
def test_sample_times(timesteps: int, steps: int) -> None:
    times = ddpm.sample_times(timesteps, steps)
    assert (times[0], times[-1], len(times)) == (timesteps, 0, steps + 1)
    assert all(t > s for t, s in pairwise(times))


SAMPLERS = {
    "ddim": lambda: best_ddpm(sample_steps=100),
    "ddim, η 1, all steps": lambda: best_ddpm(sample_steps=1000, eta=1.0),
    "ancestral, all steps": lambda: best_ddpm(sample_steps=1000, sampler="ancestral"),
    "ode": lambda: best_score(sample_steps=30),
    "langevin": lambda: best_score(sampler="langevin"),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_reach_gaussian_data(name: str) -> None:
    """With the exact denoiser of a Gaussian, samples have its mean and standard deviation."""
    torch.manual_seed(0)
    model, n = SAMPLERS[name](), 5000
    x = model.sample(n)
    # Four standard errors, and 3 % for the discretisation.
    assert ((x.mean(0) - MEAN).abs() < 4 * STD / n**0.5 + 0.03 * STD).all()
    assert ((x.std(0) / STD - 1).abs() < 4 / (2 * n) ** 0.5 + 0.03).all()


# Bounds and likelihoods


@pytest.mark.parametrize("schedule", ddpm.SCHEDULES)
def test_bound_of_the_best_denoiser_is_close(schedule: str) -> None:
    torch.manual_seed(0)
    model = best_ddpm(schedule=schedule)
    x = MEAN + STD * torch.randn(200, 2).double()
    gap = (log_density(x) - model.elbo(x, k=999)).mean().item()
    # Exact inference leaves what the fixed variances cost; the noise of 200 points x 999 terms is about 0.02.
    assert -0.03 < gap < 0.15


def test_bound_from_few_terms_is_unbiased() -> None:
    torch.manual_seed(0)
    model = best_ddpm()
    x = (MEAN + STD * torch.randn(50, 2).double()).repeat(40, 1)
    few, all_terms = model.elbo(x, k=4), model.elbo(x[:500], k=999)
    assert abs(few.mean() - all_terms.mean()).item() < 4 * few.std().item() / len(x) ** 0.5 + 0.05


def test_small_variance_costs_more_on_wide_data() -> None:
    torch.manual_seed(0)
    x = MEAN + STD * torch.randn(100, 2).double()
    large, little = (best_ddpm(variance=v).elbo(x, k=999).mean() for v in ("large", "small"))
    assert large > little


def test_bins_of_pixels_sum_to_one() -> None:
    """Σ over all 256 values of the discretised decoder, far in the tails as well."""
    values = torch.arange(256).double() / 127.5 - 1
    for mean, sigma in [(0.0, 0.01), (-1.3, 0.1), (0.999, 1e-3), (3.0, 0.5)]:
        above = torch.where(values > 1 - 1 / 255, math.inf, (values + 1 / 255 - mean) / sigma)
        below = torch.where(values < -1 + 1 / 255, -math.inf, (values - 1 / 255 - mean) / sigma)
        assert ddpm.log_interval(below, above).logsumexp(0).item() == pytest.approx(0, abs=1e-9)


def test_bound_of_images_is_finite() -> None:
    for values in ("symmetric", "unit", "binary"):
        spec = Spec((1, 28, 28), range=values)
        x = torch.rand(4, 1, 28, 28).round()
        x = 2 * x - 1 if values == "symmetric" else x
        bound = DDPM(spec, net=small).elbo(x, k=2)
        assert bound.shape == (4,)
        assert bound.isfinite().all()


def test_likelihood_by_the_ode_of_a_gaussian() -> None:
    x = MEAN + STD * torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double()
    model = best_score(likelihood_steps=200)
    # x_1 is taken for N(0, I), while its mean is α_1 MEAN = 0.005: times two standard deviations or three.
    torch.testing.assert_close(model.log_prob(x), log_density(x), rtol=0, atol=0.02)
    torch.testing.assert_close(model.log_prob(x).mean(), log_density(x).mean(), rtol=0, atol=3e-3)


def bimodal(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """log p_t of ½ N(-1, 0.2²) + ½ N(1, 0.2²) in each of two coordinates: (B, 2) -> (B,)."""
    std = (0.04 * alpha**2 + sigma**2).sqrt()
    parts = torch.stack([Normal(mean * alpha, std).log_prob(x) for mean in (-1.0, 1.0)])
    return (parts.logsumexp(0) - math.log(2)).sum(1)


def test_likelihood_by_the_ode_of_a_mixture() -> None:
    def formula(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = levels(t)
        return -sigma * torch.func.grad(lambda points: bimodal(points, alpha, sigma).sum())(x)

    model = Score(POINTS, likelihood_steps=200)
    model.net = Exact(formula)
    x = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)).double()
    # The error of the steps falls as their square: 0.05 at 100, 0.011 at 200, 0.003 at 400.
    exact = bimodal(x, torch.ones(1, 1).double(), torch.zeros(1, 1).double())
    torch.testing.assert_close(model.double().log_prob(x), exact, rtol=0, atol=0.02)


def test_likelihood_counts_the_scale() -> None:
    """Data twice as wide: the density of x at scale 2 is that of x / 2 over 2²."""
    x = torch.randn(10, 2).double()
    for make in (best_score, lambda: FlowMatching(POINTS, net=small).double()):
        model = make()
        before = model.log_prob(x)
        model.mean_square.fill_(4.0)
        torch.testing.assert_close(model.log_prob(2 * x), before - 2 * math.log(2))


def straight(x: Tensor, t: Tensor) -> Tensor:
    """The best velocity of flow matching for data N(MEAN, STD²) and sigma_min 0."""
    slope = (t * STD**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * STD**2)
    return MEAN + slope * (x - t * MEAN)


def test_flow_matching_of_a_gaussian() -> None:
    torch.manual_seed(0)
    model = FlowMatching(POINTS, sigma_min=0.0, likelihood_steps=200, sample_steps=100)
    model.net = Exact(straight)
    model = model.double()
    x = model.sample(5000)
    assert ((x.mean(0) - MEAN).abs() < 4 * STD / 5000**0.5).all()
    assert ((x.std(0) / STD - 1).abs() < 4 / 10000**0.5).all()
    torch.testing.assert_close(model.log_prob(x[:50]), log_density(x[:50]), rtol=0, atol=2e-3)


def test_velocity_is_the_derivative_of_the_path() -> None:
    noise, x, t = torch.randn(6, 2).double(), torch.randn(6, 2).double(), torch.rand(6).double().requires_grad_()
    for sigma_min in (0.0, 0.1):
        x_t, velocity = flow_matching.path(noise, x, t, sigma_min)
        for i in (0, 1):
            slope = torch.autograd.grad(x_t[:, i].sum(), t, retain_graph=True)[0]
            torch.testing.assert_close(velocity[:, i], slope)
        torch.testing.assert_close(flow_matching.path(noise, x, 0 * t, sigma_min)[0], noise)
        end = flow_matching.path(noise, x, torch.ones_like(t), sigma_min)[0]
        torch.testing.assert_close(end, x + sigma_min * noise)


def test_divergence_against_autograd() -> None:
    torch.manual_seed(0)
    net = TimedMLP((3,), hidden=16, blocks=1).double()
    nn.init.normal_(net.last.weight)
    x, t = torch.randn(4, 3).double(), torch.full((4,), 0.3).double()
    _, exact = ode.with_divergence(lambda points: net(points, t), x, None)
    for i in range(4):
        jacobian = torch.autograd.functional.jacobian(lambda point: net(point[None], t[:1])[0], x[i])
        torch.testing.assert_close(exact[i], jacobian.diagonal().sum())
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 3)  # all: the mean is the trace itself
    estimates = [ode.with_divergence(lambda points: net(points, t), x, s.expand(4, 3))[1] for s in signs]
    torch.testing.assert_close(torch.stack(estimates).mean(0), exact)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_solvers_have_their_order(solver: str, order: int) -> None:
    """dx/dt = x cos t from 0 to 2: halving the step divides the error by 2^order."""

    def error(steps: int) -> float:
        times = [2 * i / steps for i in range(steps + 1)]
        end = ode.integrate(lambda x, t: x * math.cos(t), torch.ones(1, 1).double(), times, solver)
        return abs(end.item() - math.exp(math.sin(2)))

    assert error(20) / error(40) == pytest.approx(2**order, rel=0.25)


def test_hutchinson_likelihood_of_images() -> None:
    for family in (Score, FlowMatching):
        model = family(IMAGES, net=small, likelihood_steps=2)
        assert model.log_prob(torch.rand(2, 1, 28, 28)).isfinite().all()


def test_score_times() -> None:
    for t in (1e-5, 1e-3, 0.3, 1.0):
        assert score.time_of(score.noise_ratio(t)) == pytest.approx(t, rel=1e-9)


# Families


FAMILIES: dict[str, Callable[..., Any]] = {
    "ddpm": lambda spec, **o: DDPM(spec, sample_steps=3, net=small, **o),
    "ddpm x0 ancestral": lambda spec, **o: DDPM(spec, "x0", sampler="ancestral", sample_steps=3, net=small, **o),
    "ddpm v cosine": lambda spec, **o: DDPM(spec, "v", "cosine", sample_steps=3, eta=0.5, net=small, **o),
    "score": lambda spec, **o: Score(spec, sample_steps=2, net=small, **o),
    "langevin": lambda spec, **o: Score(spec, sampler="langevin", langevin_levels=2, net=small, **o),
    "flow_matching": lambda spec, **o: FlowMatching(spec, sample_steps=2, net=small, **o),
}


@pytest.mark.parametrize("spec", [POINTS, IMAGES], ids=["points", "images"])
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("conditional", [False, True])
def test_loss_and_samples(name: str, spec: Spec, conditional: bool) -> None:
    torch.manual_seed(0)
    model = FAMILIES[name](spec, conditional=conditional, guidance=2.0)
    out = model.loss(batch(spec))
    out.loss.backward()
    last = list(model.net.parameters())[-1]
    assert last.grad is not None
    assert last.grad.abs().sum() > 0
    assert all(value.dim() == 0 for value in out.logs.values())
    x = model.eval().sample(3)
    assert x.shape == (3, *spec.shape)
    assert x.isfinite().all()


def perturbed(model: DDPM) -> DDPM:
    """Nets start at 0: make their answers depend on everything."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


def test_guidance() -> None:
    torch.manual_seed(0)
    model = perturbed(DDPM(POINTS, conditional=True, net=small))
    x, t, y = torch.randn(5, 2), torch.rand(5), torch.tensor([0, 1, 0, 1, 1])
    free, bound = model.guided(x, t), model.net(x, t, y)
    assert not torch.allclose(free, bound)
    for weight in (0.0, 1.0, 3.0):
        model.guidance = weight
        torch.testing.assert_close(model.guided(x, t, y), free + weight * (bound - free))
    model.guidance = 0.0
    torch.manual_seed(1)
    one = model.sample(4, torch.zeros(4, dtype=torch.long))
    torch.manual_seed(1)
    torch.testing.assert_close(one, model.sample(4, torch.ones(4, dtype=torch.long)), rtol=0, atol=0)


def test_hidden_labels() -> None:
    torch.manual_seed(0)
    model = DDPM(POINTS, conditional=True, drop_label=0.3, net=small)
    hidden = model.hide(torch.zeros(10000, dtype=torch.long))
    assert set(hidden.tolist()) == {0, POINTS.classes}
    assert (hidden == POINTS.classes).float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_scale_is_the_mean_of_the_first_steps() -> None:
    model, x = DDPM(POINTS, net=small), torch.randn(3, 8, 2) * 5
    for i in range(3):
        model.measure({"x": x[i], "step": step(i)})
    torch.testing.assert_close(model.mean_square, x.square().mean())
    before = model.mean_square.clone()
    model.measure({"x": 100 * x[0], "step": step(1000)})
    model.eval().measure({"x": 100 * x[0], "step": step(3)})
    assert torch.equal(model.mean_square, before)
    assert "mean_square" in model.state_dict()


@pytest.mark.parametrize("side", [28, 32, 64])
def test_unet(side: int) -> None:
    torch.manual_seed(0)
    net = UNet((3, side, side), classes=4, width=8, dropout=0.1)
    x = torch.randn(2, 3, side, side)
    assert net(x, torch.rand(2), torch.tensor([0, 4])).abs().max() == 0  # zero at the start
    perturbed_net = net.eval()
    for parameter in perturbed_net.parameters():
        nn.init.normal_(parameter, std=0.1)
    y = torch.tensor([1, 1])
    first = net(x, torch.tensor([0.2, 0.2]), y)
    assert first.shape == x.shape
    assert not torch.allclose(first, net(x, torch.tensor([0.8, 0.8]), y))
    assert not torch.allclose(first, net(x, torch.tensor([0.2, 0.2]), torch.tensor([2, 2])))


def test_unet_size() -> None:
    assert 450_000 < sum(p.numel() for p in UNet((1, 28, 28)).parameters()) < 700_000


@pytest.mark.parametrize(
    "make",
    [
        lambda: DDPM(POINTS, "noise"),
        lambda: DDPM(POINTS, sample_steps=1001),
        lambda: DDPM(POINTS, eta=1.5),
        lambda: DDPM(Spec((2,)), conditional=True),
        lambda: UNet((1, 27, 27)),
        lambda: UNet((1, 28, 28), width=12),
        lambda: Score(POINTS, sampler="ddim"),
        lambda: FlowMatching(POINTS, solver="heun"),
    ],
)
def test_wrong_options(make) -> None:
    with pytest.raises(UserError):
        make()


# Latent diffusion


def small_prior(spec: Spec) -> DDPM:
    return DDPM(spec, sample_steps=3, net=small)


def latent(autoencoder: Family | None = None) -> LatentDiffusion:
    return LatentDiffusion(POINTS, autoencoder, own=lambda spec: VAE(spec, z_dim=3), prior=small_prior)


def test_latent_diffusion_keeps_a_given_autoencoder() -> None:
    torch.manual_seed(0)
    vae = VAE(POINTS, z_dim=3)
    model = latent(vae).train()
    assert not vae.training
    assert model.prior.training
    assert model.prior.spec == Spec((3,), 2)
    assert not any(p.requires_grad for p in vae.parameters())
    model.loss(batch(POINTS)).loss.backward()
    assert any(p.grad is not None for p in model.prior.parameters())
    assert model.sample(4).shape == (4, 2)
    other = latent(VAE(POINTS, z_dim=3))
    other.load_state_dict(model.state_dict())  # the checkpoint holds the autoencoder
    x = torch.randn(4, 2)
    assert torch.equal(other.reconstruct(x), model.reconstruct(x))


def test_latent_diffusion_trains_its_own_autoencoder() -> None:
    """The sum's gradients are those of the two losses alone: the prior's sends none into the autoencoder."""
    torch.manual_seed(0)
    model, data = latent(), batch(POINTS)
    own = list(model.autoencoder.parameters())
    torch.manual_seed(1)
    together = torch.autograd.grad(model.loss(data).loss, own)
    (phase,) = model.autoencoder.phases()
    torch.manual_seed(1)
    (prior,) = model.prior.phases()
    prior.loss(data | {"x": model.coder.encode(data["x"])})  # draws the same noise first
    for a, b in zip(together, torch.autograd.grad(phase.loss(data).loss, own), strict=True):
        torch.testing.assert_close(a, b)


def test_latent_diffusion_refuses_what_does_not_fit() -> None:
    with pytest.raises(UserError, match=r"data\.range"):
        latent(VAE(Spec((2,), range="unit")))
    with pytest.raises(UserError, match="cannot encode"):
        latent(GAN(POINTS))


def test_autoencoder_of_a_run(tmp_path: Path) -> None:
    """`model.autoencoder=RUN`: the config names a run folder, and the model gets the family trained there."""
    run, vae = Run(tmp_path), VAE(POINTS, z_dim=3)
    vae_node = {"_target_": "genlab.models.vae.VAE", "z_dim": 3}
    run.write_config(OmegaConf.create({"model": vae_node, "data": {}, "trainer": {}, "optimizer": {}}))
    spec = [list(POINTS.shape), POINTS.classes, POINTS.range]
    checkpoint.save(run.checkpoints, {"step": 1, "spec": spec, "family": vae.state_dict(), "ema": None}, keep=0)
    node = {"_target_": "genlab.models.latent_diffusion.LatentDiffusion", "autoencoder": str(tmp_path)}
    config = OmegaConf.create({"model": node})
    OmegaConf.set_struct(config, True)
    model = build.family(config, POINTS)
    assert isinstance(model, LatentDiffusion)
    assert model.frozen
    x = torch.randn(4, 2)
    assert torch.equal(model.reconstruct(x), vae.reconstruct(x))
    config.model.autoencoder = str(tmp_path / "none")
    with pytest.raises(UserError, match=r"model\.autoencoder: no folder"):
        build.family(config, POINTS)
