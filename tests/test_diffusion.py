"""Denoising diffusion against closed forms: the forward process, the samplers, the variational bound."""

import math
from itertools import pairwise

import pytest
import torch
from closed_forms import MEAN, STD, Exact, best_ddpm, best_score, log_density, small

from genlab.data.base import Spec
from genlab.errors import UserError
from genlab.models import ddpm, head, samplers, schedules
from genlab.models.ddpm import DDPM
from genlab.models.diffusion import PREDICTIONS, mixture, separate, target


@pytest.mark.parametrize("schedule", schedules.SCHEDULES)
@pytest.mark.parametrize("timesteps", [20, 1000])
def test_schedules_fall_from_one_to_nearly_zero(schedule: str, timesteps: int) -> None:
    bars = schedules.alpha_bars(schedule, timesteps)
    assert bars.shape == (timesteps + 1,)
    assert bars.dtype == torch.float64
    assert bars[0] == 1
    assert (bars[1:] < bars[:-1]).all()
    assert (bars > 0).all()
    assert bars[-1] < 5e-4  # nothing is left of the sample


def test_few_levels_of_noise_need_the_cosine_schedule() -> None:
    """β of the linear schedule would exceed 1; the cosine schedule ends correctly for any number of levels."""
    with pytest.raises(UserError, match=r"timesteps: must be >= 20 with schedule linear, got 10"):
        DDPM(Spec((2,)), timesteps=10, sample_steps=10)
    model = DDPM(Spec((2,)), timesteps=10, sample_steps=10, schedule="cosine", sampler="ancestral")
    assert model.sample(3).isfinite().all()
    assert schedules.alpha_bars("cosine", 10)[-1] < 5e-4


def test_the_linear_schedule_matches_the_paper() -> None:
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    torch.testing.assert_close(schedules.alpha_bars("linear", 1000)[1:], (1 - beta).cumprod(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("schedule", schedules.SCHEDULES)
def test_a_jump_to_t_equals_all_single_steps(schedule: str) -> None:
    """Compares the mean factor and variance of q(x_t|x_0) with the product of all q(x_i|x_{i-1})."""
    bars = schedules.alpha_bars(schedule, 200)
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


def test_the_posterior_follows_from_bayes_rule() -> None:
    """Derives the precision and mean of q(x_s|x_t, x_0) from the product of q(x_t|x_s) and q(x_s|x_0)."""
    bars = schedules.alpha_bars("linear", 100)
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
        clean, recovered_noise = separate(kind, x_t, target(kind, x, noise, alpha, sigma), alpha, sigma)
        torch.testing.assert_close(clean, x, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(recovered_noise, noise, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("schedule", schedules.SCHEDULES)
@pytest.mark.parametrize("steps", [200, 30])
def test_ddim_with_eta_one_equals_ancestral_sampling(schedule: str, steps: int) -> None:
    """As functions of (x_0, x_t), both have means with the same factors, and the same variance."""
    bars, times = schedules.alpha_bars(schedule, 200), schedules.sample_times(200, steps)
    for t, s in pairwise(times):
        from_x = bars[s].sqrt()
        level_t, level_s = ((bars[i].sqrt().item(), (1 - bars[i]).sqrt().item()) for i in (t, s))
        from_noise, fresh = samplers.noises(level_t, level_s, 1.0)
        a, b, c = ddpm.posterior(bars[s], bars[t])
        # ε = (x_t - α x_0) / σ
        in_x_t = from_noise / (1 - bars[t]).sqrt()
        torch.testing.assert_close(in_x_t, b, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(from_x - in_x_t * bars[t].sqrt(), a, rtol=1e-9, atol=1e-12)
        assert fresh**2 == pytest.approx(c.item(), rel=1e-12)


def test_one_step_of_ancestral_and_ddim_sampling_agrees() -> None:
    ancestral, ddim = best_ddpm(sampler="ancestral", variance="small"), best_ddpm(sampler="ddim", eta=1.0)
    x = torch.randn(5, 2).double()
    for t in (1000, 400, 2, 1):
        torch.manual_seed(0)
        a = ancestral.reverse(x, t, t - 1)
        torch.manual_seed(0)
        torch.testing.assert_close(a, ddim.reverse(x, t, t - 1), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("timesteps", "steps"), [(1000, 1000), (1000, 50), (20, 20), (20, 1), (100, 99)])
def test_sample_times_fall_from_the_last_level_to_zero(timesteps: int, steps: int) -> None:
    times = schedules.sample_times(timesteps, steps)
    assert (times[0], times[-1], len(times)) == (timesteps, 0, steps + 1)
    assert all(t > s for t, s in pairwise(times))


SAMPLERS = {
    "ddim, η 0": lambda: best_ddpm(sample_steps=100, eta=0.0),
    "ddim, η 1, all steps": lambda: best_ddpm(sample_steps=1000, eta=1.0),
    "ancestral, all steps": lambda: best_ddpm(sample_steps=1000, sampler="ancestral"),
    "ode": lambda: best_score(sample_steps=30),
    "langevin": lambda: best_score(sampler="langevin"),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_recover_gaussian_data(name: str) -> None:
    """With the exact denoiser of a Gaussian, samples have its mean and standard deviation."""
    torch.manual_seed(0)
    model, n = SAMPLERS[name](), 5000
    x = model.sample(n)
    # Four standard errors, and 3 % for the discretisation.
    assert ((x.mean(0) - MEAN).abs() < 4 * STD / n**0.5 + 0.03 * STD).all()
    assert ((x.std(0) / STD - 1).abs() < 4 / (2 * n) ** 0.5 + 0.03).all()


@pytest.mark.parametrize("schedule", schedules.SCHEDULES)
def test_the_bound_of_the_best_denoiser_is_close_to_the_likelihood(schedule: str) -> None:
    torch.manual_seed(0)
    model = best_ddpm(schedule=schedule)
    x = MEAN + STD * torch.randn(200, 2).double()
    gap = (log_density(x) - model.elbo(x, k=999)).mean().item()
    # With exact inference the gap is the cost of the fixed variances; noise of 200 points x 999 terms: about 0.02.
    assert -0.03 < gap < 0.15


def test_the_bound_from_few_terms_is_exact_for_data_at_one_point() -> None:
    """The best net then sees x_0 itself, and term t is the constant ½ D (r - 1 - log r), r = β̃_t/β_t."""
    torch.manual_seed(0)
    model = best_ddpm(bound_variance="large")

    def noise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        step = (t * model.timesteps).round().long()
        return (x - model.alpha[step] * MEAN) / model.sigma[step]

    model.net = Exact(noise)
    ratio = (1 - model.bars[1:-1]) / (1 - model.bars[2:])
    exact = (ratio - 1 - ratio.log()).sum().item()
    x = MEAN.expand(1000, 2)
    for k, error in ((10, 1e-3), (999, 1e-9)):
        terms = model.decoder(x) - model.prior_kl(x) - model.elbo(x, k)
        assert terms.mean().item() == pytest.approx(exact, rel=error)


def test_the_bound_from_few_terms_is_unbiased() -> None:
    torch.manual_seed(0)
    model = best_ddpm()
    x = (MEAN + STD * torch.randn(50, 2).double()).repeat(40, 1)
    few, all_terms = model.elbo(x, k=4), model.elbo(x[:500], k=999)
    assert abs(few.mean() - all_terms.mean()).item() < 4 * few.std().item() / len(x) ** 0.5 + 0.05


def test_the_bound_from_few_terms_has_a_small_spread() -> None:
    """For one sample, ten terms have a standard deviation of 3.2 nats; with t drawn uniformly it would be 13.9."""
    torch.manual_seed(0)
    assert best_ddpm().elbo((MEAN + STD).expand(2000, 2), k=10).std().item() < 6


def test_small_variance_costs_more_on_wide_data() -> None:
    torch.manual_seed(0)
    x = MEAN + STD * torch.randn(100, 2).double()
    large, little = (best_ddpm(bound_variance=v).elbo(x, k=999).mean() for v in ("large", "small"))
    assert large > little


def test_probabilities_of_all_pixel_values_sum_to_one() -> None:
    """Sums the discretised decoder over all 256 values, far in the tails as well."""
    values = torch.arange(256).double() / 127.5 - 1
    for mean, sigma in [(0.0, 0.01), (-1.3, 0.1), (0.999, 1e-3), (3.0, 0.5)]:
        above = torch.where(values > 1 - 1 / 255, math.inf, (values + 1 / 255 - mean) / sigma)
        below = torch.where(values < -1 + 1 / 255, -math.inf, (values - 1 / 255 - mean) / sigma)
        assert head.log_interval(below, above).logsumexp(0).item() == pytest.approx(0, abs=1e-9)


def test_the_bound_of_images_is_finite() -> None:
    for values in ("symmetric", "unit", "binary"):
        spec = Spec((1, 28, 28), fields=values)
        x = torch.rand(4, 1, 28, 28).round()
        x = 2 * x - 1 if values == "symmetric" else x
        bound = DDPM(spec, net=small).elbo(x, k=2)
        assert bound.shape == (4,)
        assert bound.isfinite().all()


def cosine_samples(error: float, **options) -> torch.Tensor:
    """Returns samples of Gaussian data from the exact noise plus a constant error, in the model's own units."""
    model = best_ddpm(schedule="cosine", eta=0.0, **options)
    exact = model.net

    class Wrong(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.exact = exact

        def forward(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
            return self.exact(x, t) + error

    model.net = Wrong()
    torch.manual_seed(0)
    data = MEAN + STD * torch.randn(4000, 2).double()
    model.lowest, model.highest = data.amin(0), data.amax(0)
    return model.eval().sample(4000)


@pytest.mark.parametrize("error", [0.0, 0.003, -0.01])
def test_a_small_error_in_the_noise_gives_a_small_error_in_the_samples(error: float) -> None:
    """The cosine schedule ends at σ/α = 20,000, where 0.003 in ε is 60 in x."""
    x = cosine_samples(error)
    assert (x.mean(0) - MEAN).abs().max() < 0.06 + 15 * abs(error)
    assert (x.std(0) / STD - 1).abs().max() < 0.06
    assert (x.amax(0) - x.amin(0) < 1.3 * 8 * STD).all()


def test_sampling_of_points_starts_where_some_signal_is_left() -> None:
    for timesteps in (250, 1000, 4000):
        bars = schedules.alpha_bars("cosine", timesteps)
        start = schedules.first_time(bars)
        assert bars[start + 1] < schedules.LEAST_SIGNAL <= bars[start] <= schedules.MOST_SIGNAL
    for schedule, timesteps in (("linear", 1000), ("cosine", 10), ("cosine", 50)):
        assert schedules.first_time(schedules.alpha_bars(schedule, timesteps)) == timesteps


def test_clean_samples_are_clipped_to_the_range_of_the_training_samples() -> None:
    model = DDPM(Spec((2,)), net=small)
    far = torch.tensor([[100.0, -100.0]])
    assert torch.equal(model.clip(far), far)  # the range is not known yet
    model.measure({"x": torch.tensor([[-1.0, 0.0], [3.0, 2.0]]), "step": torch.tensor(0)})
    model.measure({"x": torch.tensor([[0.0, -2.0]]), "step": torch.tensor(1)})
    assert model.lowest.tolist() == [-1.0, -2.0]
    assert model.highest.tolist() == [3.0, 2.0]
    torch.testing.assert_close(model.scale * model.clip(far), torch.tensor([[3.4, -2.4]]))
    inside = torch.tensor([[0.1, 0.2]])
    assert torch.equal(model.clip(inside), inside)
    model.eval().measure({"x": far, "step": torch.tensor(2)})
    assert model.highest.tolist() == [3.0, 2.0]  # held-out samples do not count
    state = {key: value for key, value in model.state_dict().items() if key not in ("lowest", "highest")}
    old = DDPM(Spec((2,)), net=small)
    old.load_state_dict(state)  # a checkpoint from before the range was stored
    assert torch.equal(old.clip(far), far)
    assert not {"lowest", "highest"} & set(DDPM(Spec((1, 28, 28), fields="symmetric"), net=small).state_dict())
