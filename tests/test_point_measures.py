"""Measures of points, likelihoods, codes and curves against closed forms, scipy and slow versions."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, special_ortho_group

from genlab.data.gaussian2d import Gaussian2D, Mixture, mixture
from genlab.metrics.attempts import attempt_all
from genlab.metrics.autoencoding import active_units, bound, reconstruction_mse
from genlab.metrics.catalogue import MEASURES
from genlab.metrics.kolmogorov_smirnov import kolmogorov_smirnov
from genlab.metrics.likelihood import bits_per_dim, excess, likelihood_measures, mean
from genlab.metrics.measure import cost, known_word
from genlab.metrics.mmd import median_distance, mmd
from genlab.metrics.modes import mode_coverage
from genlab.metrics.points import Modes, gaussian_noise, point_parts
from genlab.metrics.spread import spread
from genlab.metrics.training import volatility
from genlab.metrics.translation import label_preservation
from genlab.metrics.wasserstein import sliced_w2, w2


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def point_measures(fake: torch.Tensor, real: torch.Tensor, mixture: Modes | None = None) -> dict[str, float]:
    """Takes all measures of points, as a judge does; a failure is raised."""
    return attempt_all(point_parts(fake, real, mixture), None)


@pytest.mark.parametrize(("kind", "modes"), [("ring", 8), ("grid", 25), ("two_narrow", 2)])
def test_a_perfect_sampler_covers_every_mode_at_98_9_percent(kind, modes):
    m = mixture(kind)
    assert m is not None
    fake, real = (m.sample(20_000, torch.Generator().manual_seed(seed))[0] for seed in (0, 1))
    values = point_measures(fake, real, m)
    assert values["modes"] == modes
    assert values["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.003)  # standard error 0.0007
    assert values["reverse_kl"] < 0.002
    assert values["std_ratio_min"] > 0.93
    assert values["std_ratio_max"] < 1.07
    assert values["spread"] == pytest.approx(1, abs=0.02)  # the standard error is under 0.005
    assert abs(values["mmd"]) < 0.002  # 2000 samples of each: scatter of order 1/2000 about 0


def test_measures_rank_floor_noise_and_collapsed_samples():
    data = Gaussian2D("grid")
    real, train = data.real("test", 800), data.real("train", 800)
    floor, noise = (point_measures(x, real, data.truth) for x in (train, gaussian_noise(train, 800)))
    for name in ("reverse_kl", "ks_x", "ks_y", "sliced_w2", "w2"):
        assert MEASURES[name].better == "min"
        assert floor[name] < noise[name], name
    assert floor["modes"] == 25 > noise["modes"]
    assert floor["high_quality"] > 0.97
    assert noise["high_quality"] < 0.1
    repeated = torch.full_like(real, 2.0)[:300]  # the mean of one mode, again and again
    collapsed = point_measures(repeated, real, data.truth)
    for name in ("ks_x", "ks_y", "sliced_w2", "w2", "mmd"):
        assert noise[name] < collapsed[name], name
    assert collapsed["high_quality"] == 1.0  # which is why it must not be read alone
    assert collapsed["modes"] == 1
    assert collapsed["spread"] == 0
    assert collapsed["reverse_kl"] == pytest.approx(math.log(25))
    assert {"ks_x", "ks_y", "sliced_w2", "w2"} < set(floor)
    assert "modes" not in point_measures(train, real)
    with pytest.raises(ValueError, match="dimension"):
        point_measures(train, real[:, :1])


def test_gaussian_noise_has_the_mean_and_covariance_of_the_data():
    real = normal(400, 3) @ torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]]) + 3
    drawn = gaussian_noise(real, 50_000)
    assert torch.allclose(drawn.mean(0), real.mean(0), atol=0.05)  # standard errors under 0.01
    assert torch.allclose(drawn.T.cov(), real.T.cov(), atol=0.1)  # 5 times the largest standard error


def test_w2_is_the_minimum_over_all_pairings():
    x, y = normal(6, 2), normal(6, 2, seed=1) + 1
    cost = (x[:, None] - y[None]).square().sum(2)
    best = min(sum(cost[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(6)))
    assert w2(x, y) == pytest.approx(math.sqrt(float(best) / 6), rel=1e-6)


def test_w2_of_a_shift_is_its_length_and_w2_bounds_sliced_w2():
    x = normal(300, 5)
    shift = torch.tensor([3.0, 0.0, 4.0, 0.0, 0.0])
    assert w2(x, x + shift) == pytest.approx(5, rel=1e-6)  # a translation is the best transport
    assert w2(x, x.flip(0)) == pytest.approx(0, abs=1e-9)
    y = 2 * normal(300, 5, seed=1)
    assert sliced_w2(x, y) <= w2(x, y)
    assert w2(x, y[:100], limit=50) == w2(x, y[:100], limit=50)
    with pytest.raises(ValueError, match="shape"):
        w2(x, x[:, :2])


def test_w2_of_gaussians_tends_to_the_closed_form():
    """W2² = |m|² + Σ (s_i - t_i)² for axis-parallel Gaussians."""
    x, y = normal(800, 2), normal(800, 2, seed=1) * torch.tensor([3.0, 0.5]) + torch.tensor([1.0, -2.0])
    assert w2(x, y) == pytest.approx(math.sqrt(5 + 4 + 0.25), rel=0.05)  # 800 points leave a few percent


def test_kolmogorov_smirnov_is_the_largest_gap_between_distribution_functions():
    x, y = normal(80, 3), 1.5 * normal(120, 3, seed=1) + 0.2
    for i, value in enumerate(kolmogorov_smirnov(x, y)):
        every = torch.cat([x[:, i], y[:, i]])
        gaps = [abs((x[:, i] <= t).double().mean() - (y[:, i] <= t).double().mean()) for t in every]
        assert value == pytest.approx(float(max(gaps)), abs=1e-9)
        assert value == pytest.approx(ks_2samp(x[:, i].numpy(), y[:, i].numpy())[0], abs=1e-12)
    assert kolmogorov_smirnov(x, x) == [0, 0, 0]
    assert kolmogorov_smirnov(x, x + 100) == [1, 1, 1]


def test_mmd_equals_the_double_sum_and_its_closed_form():
    x, y = normal(30, 2), normal(40, 2, seed=1) + 0.5
    h = median_distance(y.double())
    assert h == pytest.approx(
        np.quantile([math.dist(a, b) for a, b in itertools.combinations(y.tolist(), 2)], 0.5), rel=0.02
    )

    def k(a, b):
        return math.exp(-(math.dist(a, b) ** 2) / (2 * h * h))

    a, b = x.tolist(), y.tolist()
    slow = sum(k(*p) for p in itertools.permutations(a, 2)) / (30 * 29)
    slow += sum(k(*p) for p in itertools.permutations(b, 2)) / (40 * 39)
    slow -= 2 * sum(k(p, q) for p in a for q in b) / (30 * 40)
    assert mmd(x, y) == pytest.approx(slow, abs=1e-9)
    # E k between N(m, s² I) and N(0, t² I) in the plane: h² / v · exp(-|m|² / 2v), v = h² + s² + t².
    far = normal(2000, 2, seed=2) + torch.tensor([1.0, 0.0])
    exact = 2 * (1 / 3) * (1 - math.exp(-1 / 6))
    assert mmd(far, normal(2000, 2, seed=3), bandwidth=1.0) == pytest.approx(exact, abs=0.02)  # 3 standard errors


def test_mmd_is_unbiased_and_leaves_the_global_generator_alone():
    values = [mmd(normal(60, 2, seed=2 * i), normal(60, 2, seed=2 * i + 1), bandwidth=1.0) for i in range(200)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(200)
    before = torch.get_rng_state()
    large = normal(2500, 2)
    mmd(large, large)
    w2(large[:50], large, limit=20)
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(ValueError, match="two samples"):
        mmd(large[:1], large)
    with pytest.raises(ValueError, match="bandwidth"):
        mmd(large, torch.zeros(10, 2))


def test_spread_is_invariant_under_rotation():
    x = normal(500, 3) * torch.tensor([1.0, 2.0, 3.0])
    turn = torch.tensor(special_ortho_group.rvs(3, random_state=0), dtype=torch.float32)
    assert spread(0.3 * x @ turn + 7, x) == pytest.approx(0.3, rel=1e-5)
    assert spread(x[:1].expand(10, 3), x) == pytest.approx(0, abs=1e-7)


def test_excess_is_the_kl_and_less_noisy_than_the_difference_of_means():
    """KL(N(0, 1) || N(m, 1)) = m² / 2."""
    x = normal(4000).double()
    log_p, log_q = (-0.5 * (x - m).square() - 0.5 * math.log(2 * math.pi) for m in (0.0, 0.3))
    over = excess(log_q, log_p)
    assert over.value == pytest.approx(0.045, abs=4 * over.error)
    assert over.error == pytest.approx(0.3 / math.sqrt(4000), rel=0.05)  # log p - log q = m²/2 - m x
    values = likelihood_measures(log_q, log_p)
    assert values["nll"] - values["nll_floor"] == pytest.approx(values["nll_excess"])
    assert values["nll_excess_error"] < 0.5 * values["nll_error"]
    entropy = 0.5 * math.log(2 * math.pi * math.e)
    assert values["nll_floor"] == pytest.approx(entropy, abs=4 * math.sqrt(0.5 / 4000))
    assert set(likelihood_measures(log_q)) == {"nll", "nll_error"}
    assert math.isnan(mean(torch.ones(1)).error)


def test_bits_per_dim_of_a_uniform_density_is_8():
    log_q = torch.zeros(10)  # uniform on the unit cube
    assert bits_per_dim(log_q, 784, width=1 / 256) == (8.0, 0.0)
    discrete = torch.full((10,), -784 * math.log(256))  # all pixel values equally likely
    assert bits_per_dim(discrete, 784).value == pytest.approx(8)
    assert bits_per_dim(torch.tensor([-784.0, 0.0]), 784).error == pytest.approx(0.5 / math.log(2))


def test_bits_per_dim_agrees_with_the_flow():
    from genlab.data.base import Spec
    from genlab.models.flow import Flow

    flow = Flow(Spec((1, 4, 4), fields="unit"), architecture="realnvp", couplings=2, hidden=[8])
    nats = torch.tensor([3.0, -20.0])
    assert bits_per_dim(-nats, 16, width=1 / 256).value == pytest.approx(flow.to_bits(nats).mean().item())


def test_autoencoder_measures_match_values_by_hand():
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert reconstruction_mse(x, x + torch.tensor([0.0, 2.0])) == 2.0
    with pytest.raises(ValueError, match="shapes"):
        reconstruction_mse(x, x[:1])
    means = normal(1000, 4) * torch.tensor([1.0, 0.15, 0.05, 0.0])  # variances 1, 0.0225, 0.0025, 0
    assert active_units(means + 5) == 2


def test_the_bound_approaches_the_likelihood_as_k_grows():
    """p(x|z) = N(z, 1), p(z) = N(0, 1): log p(x) = log N(x; 0, 2). q is the prior, so that there is a gap."""
    torch.manual_seed(0)

    def elbo(x, k):
        z = torch.randn(k, len(x))
        log_weights = -0.5 * (x[:, 0] - z).square() - 0.5 * math.log(2 * math.pi)  # (k, N)
        return log_weights.logsumexp(0) - math.log(k)

    x = math.sqrt(2) * normal(250, 1)
    exact = -0.25 * x[:, 0].square() - 0.5 * math.log(4 * math.pi)
    gaps = [(exact - bound(elbo, x, k)).mean().item() for k in (1, 10, 3000)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] == pytest.approx(0, abs=0.01)
    assert bound(elbo, x, 2, chunk=100).shape == (250,)  # 100, 100 and 50


def test_label_preservation_is_the_share_of_equal_labels():
    assert label_preservation(torch.tensor([1, 2, 3, 3]), torch.tensor([1, 2, 3, 4])) == 0.75
    with pytest.raises(ValueError, match="labels"):
        label_preservation(torch.tensor([1]), torch.tensor([1, 2]))


def test_volatility_tells_noise_from_trend_and_swing():
    steps = np.arange(2000) * 50
    noise = np.random.default_rng(0).standard_normal(2000)

    def of(values, **options):
        return volatility(list(zip(steps.tolist(), values.tolist(), strict=True)), **options)

    assert of(noise).roughness == pytest.approx(1, abs=0.05)
    assert of(noise).values == 1800
    falling = of(0.01 * noise - 1e-3 * steps)
    assert falling.std > 20
    assert falling.residual == pytest.approx(0.01, rel=0.05)
    assert falling.roughness == pytest.approx(of(noise).roughness, rel=1e-6)  # neither scale nor trend matter
    assert of(np.sin(steps / 5000)).roughness < 0.05
    zigzag = of(np.where(np.arange(2000) % 2, 1.0, -1.0))
    assert zigzag.roughness == pytest.approx(math.sqrt(2), rel=1e-2)
    wild_start = noise + np.where(steps < 5000, 100, 0)
    assert of(wild_start).std == pytest.approx(of(noise).std)
    assert of(wild_start, warm_up=0.0).std > 10
    assert math.isnan(of(np.ones(2000)).roughness)
    with pytest.raises(ValueError, match="at least 3 values"):
        volatility([(1, 0.0), (2, 1.0)])
    with pytest.raises(ValueError, match="at least 3 values"):
        volatility([])


def test_the_catalogue_names_each_measure_once():
    from genlab.metrics import autoencoding, likelihood, points, training, translation

    tables = [m.MEASURES for m in (autoencoding, likelihood, points, training, translation)]
    names = [measure.name for table in tables for measure in table]
    assert len(set(names)) == len(names)
    assert set(names) <= set(MEASURES)
    assert MEASURES["elbo"].better == "max"


@pytest.mark.parametrize("width", [0.5, 0.8, 1.0, 1.25])
def test_the_width_of_modes_ignores_samples_outside_them(width):
    """Outliers do not change it. Samples and true modes are both cut at 3σ, which has a closed form."""
    m = mixture("grid")
    assert m is not None
    g = torch.Generator().manual_seed(0)
    narrow = Mixture(m.modes, width * m.sigma)
    strays = m.modes[:, None] + m.sigma * torch.tensor([[5.0, 0.0], [0.0, 8.0], [6.0, -6.0]])
    x = torch.cat([narrow.sample(40_000, g)[0], strays.flatten(0, 1).repeat(40, 1)])

    def cut(w: float) -> float:  # deviation of a coordinate of N(0, w²) in the plane within a radius of 3
        edge = 4.5 / w**2
        return w * math.sqrt(1 - edge * math.exp(-edge) / -math.expm1(-edge))

    coverage = mode_coverage(x, m.modes, m.sigma)
    assert coverage.mode_std == pytest.approx(cut(width) / cut(1.0), rel=0.01)


def test_the_width_of_modes_without_samples_is_nan():
    m = mixture("two_narrow")
    assert m is not None
    assert math.isnan(mode_coverage(torch.full((10, 2), 99.0), m.modes, m.sigma).mode_std)


def test_cost_is_lower_for_better_values():
    assert [cost(v, "near 0.989") for v in (0.999, 0.989, 0.969)] == pytest.approx([0.01, 0.0, 0.02])
    assert cost(2.0, "max") < cost(1.0, "max")
    assert cost(2.0, "min") > cost(1.0, "min")
    words = ("min", "max", "near 1", "", "near nan", "near ", "nearly", None, 3)
    assert [known_word(word) for word in words] == ["min", "max", "near 1", "", "", "", "", "", ""]
