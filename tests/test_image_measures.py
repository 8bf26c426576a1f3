"""Image measures against closed forms, scipy and slow loops, in float64 unless stated otherwise."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn

from genlab.metrics.classes import class_balance, label_accuracy
from genlab.metrics.features import FeatureNet
from genlab.metrics.frechet import frechet_distance, moments
from genlab.metrics.images import MEASURES, Reference
from genlab.metrics.inception_score import inception_score
from genlab.metrics.kid import kid, mmd2
from genlab.metrics.manifold import manifold
from genlab.metrics.neighbours import memorisation, nearest_distances, squared_radii
from genlab.metrics.sharpness import edges, sharpness


def normal(n: int, d: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    return shift + scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariance(d: int, seed: int, rank: int | None = None) -> torch.Tensor:
    factor = normal(rank or d, d, seed)
    return factor.T @ factor / d


def test_frechet_distance_of_diagonal_gaussians_matches_the_closed_form():
    """The closed form is Σ (m₁ - m₂)² + (s₁ - s₂)², with standard deviations s."""
    s, t = normal(12, 1, 0).abs().flatten(), normal(12, 1, 1).abs().flatten()
    m, n = normal(12, 1, 2).flatten(), normal(12, 1, 3).flatten()
    exact = ((m - n).square() + (s - t).square()).sum().item()
    assert frechet_distance(m, s.square().diag(), n, t.square().diag()) == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize(("d", "rank"), [(1, None), (8, None), (64, None), (16, 5)])
def test_frechet_distance_of_full_covariances_matches_scipy(d, rank):
    """scipy takes the root of the product itself; for singular matrices it is accurate only to about 1e-7."""
    a, b, gap = covariance(d, 0, rank), covariance(d, 1), normal(d, 1, 2).flatten()
    root = np.real(np.asarray(sqrtm((a @ b).numpy())))
    exact = gap.square().sum().item() + np.trace(a.numpy() + b.numpy() - 2 * root)
    assert frechet_distance(gap, a, torch.zeros(d), b) == pytest.approx(exact, rel=1e-6)


def fid(fake: torch.Tensor, real: torch.Tensor) -> float:
    return frechet_distance(*moments(fake), *moments(real))


def test_fid_of_two_feature_sets_follows_from_their_moments():
    x, y = normal(300, 10, 0) @ covariance(10, 5), normal(200, 10, 1, scale=2.0, shift=0.5)
    mean, cov = moments(x)
    assert np.allclose(mean, x.numpy().mean(0))
    assert np.allclose(cov, np.cov(x.numpy(), rowvar=False))
    a, b = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    exact = np.square(x.numpy().mean(0) - y.numpy().mean(0)).sum() + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert fid(x, y) == pytest.approx(exact, rel=1e-6)
    assert fid(x.float(), y.float()) == pytest.approx(exact, rel=1e-5)  # the features were rounded
    # Shifting all samples adds the squared length of the shift; a set has distance 0 from itself.
    assert fid(x + 3.0, x) == pytest.approx(10 * 9.0, rel=1e-6)
    assert fid(x, x) == pytest.approx(0, abs=1e-6)
    assert fid(x[:6], x[:6]) == pytest.approx(0, abs=1e-6)  # singular covariances
    with pytest.raises(ValueError, match="two samples"):
        fid(x[:1], y)


def slow_mmd2(x, y) -> float:
    def k(a, b):
        return (float(a @ b) / len(a) + 1) ** 3

    m, n = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    yy = sum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (m * n)


def test_mmd2_matches_a_double_loop():
    x, y = normal(12, 5, 0), normal(9, 5, 1, scale=1.5, shift=0.3)
    assert mmd2(x, y).item() == pytest.approx(slow_mmd2(x.numpy(), y.numpy()), rel=1e-10)


def test_kid_is_the_mean_over_subsets():
    x, y = normal(40, 5, 0), normal(30, 5, 1, shift=0.5)
    generator, values = torch.Generator().manual_seed(7), []
    for _ in range(6):
        a = x[torch.randperm(40, generator=generator)[:8]]
        b = y[torch.randperm(30, generator=generator)[:8]]
        values.append(slow_mmd2(a.numpy(), b.numpy()))
    value, error = kid(x, y, subsets=6, size=8, seed=7)
    assert value == pytest.approx(np.mean(values), rel=1e-10)
    assert error == pytest.approx(np.std(values, ddof=1) * math.sqrt(1 / 6 + 8 / 22), rel=1e-10)
    assert kid(x, y, subsets=5) == kid(x, y, subsets=5, size=15)  # half of the smaller set


def test_kid_and_its_error_are_right_for_equal_and_shifted_sets():
    x, y = normal(2000, 8, 0), normal(2000, 8, 1)
    value, error = kid(x, y, subsets=20, size=200)
    assert abs(value) < 3 * error
    # E (x·y/D + 1)³ for x ~ N(a, 1), y ~ N(b, 1) with g = a·b / D:  (1 + g)³ + 3 (1 + g) v, where the variance of
    # x·y / D is v = (D + |a|² + |b|²) / D², and the third cumulant of x·y / D adds 6 a·b / D³. With a = 1 (all
    # ones), b = 0: within x g = 1, |a|² = D; within y g = 0; between g = 0, |a|² = D.
    d = 8.0
    within = 8 + 3 * 2 * (3 * d / d**2) + 6 * d / d**3
    exact = within + (1 + 3 * d / d**2) - 2 * (1 + 3 * 2 * d / d**2)
    value, error = kid(x + 1, y, subsets=50, size=500)
    assert abs(value - exact) < 3 * error
    assert error < 0.1 * exact


def test_kid_leaves_the_global_generator_alone():
    x = normal(30, 4, 0)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = kid(x, x + 1, subsets=3)
    torch.manual_seed(6)
    assert kid(x, x + 1, subsets=3) == first
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), before)
    kid(x, x + 1, subsets=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert kid(x, x + 1, subsets=3, seed=1) != first
    with pytest.raises(ValueError, match="four samples"):
        kid(x[:3], x)


def test_inception_score_matches_closed_forms():
    assert inception_score(torch.zeros(50, 10)) == pytest.approx(1.0)
    assert inception_score(normal(1, 7, 0).expand(20, 7)) == pytest.approx(1.0)  # the same logits for all
    sure = 100 * torch.eye(10).repeat(5, 1)
    assert inception_score(sure) == pytest.approx(10.0)
    assert inception_score(sure[sure.argmax(1) < 4]) == pytest.approx(4.0)
    p = normal(30, 6, 1).softmax(1)
    exact = math.exp((p * (p / p.mean(0)).log()).sum(1).mean())
    assert inception_score(p.log() + 3.0) == pytest.approx(exact)


def test_class_balance_matches_values_by_hand():
    logits = torch.eye(4)[torch.tensor([0] * 8 + [1] * 7 + [2] * 1)]
    balance = class_balance(logits)
    assert balance.shares.tolist() == [0.5, 7 / 16, 1 / 16, 0.0]
    assert balance.covered == 3  # a quarter of the fair share of 4 is one sample
    assert balance.ratio == 0.0
    entropy = 0.5 * math.log(2) + 7 / 16 * math.log(16 / 7) + math.log(16) / 16
    assert balance.entropy == pytest.approx(entropy)
    assert balance.kl == pytest.approx(math.log(4) - entropy)
    assert class_balance(logits[:, :3]).ratio == pytest.approx(1 / 8)
    even = class_balance(torch.eye(5).repeat(3, 1))
    assert (even.covered, even.ratio, even.kl) == (5, 1.0, pytest.approx(0, abs=1e-12))
    alone = class_balance(torch.eye(10)[:1].repeat(9, 1))
    assert (alone.covered, alone.kl) == (1, pytest.approx(math.log(10)))
    assert label_accuracy(logits, torch.tensor([0] * 12 + [1] * 4)) == 0.5 + 3 / 16
    with pytest.raises(ValueError, match="no samples"):
        class_balance(logits[:0])


def slow_manifold(fake, real, k: int, density_k: int) -> tuple[float, ...]:
    """Computes the four measures by their definitions, point by point."""

    def radius(x, i: int, k: int) -> float:
        return sorted(float(np.linalg.norm(x[i] - x[j])) for j in range(len(x)) if j != i)[k - 1]

    def inside(point, x, radii) -> list[bool]:
        return [bool(np.linalg.norm(point - x[i]) <= radii[i]) for i in range(len(x))]

    of_real = [radius(real, i, k) for i in range(len(real))]
    of_fake = [radius(fake, i, k) for i in range(len(fake))]
    wide = [radius(real, i, density_k) for i in range(len(real))]
    precision = np.mean([any(inside(f, real, of_real)) for f in fake])
    recall = np.mean([any(inside(r, fake, of_fake)) for r in real])
    density = np.sum([inside(f, real, wide) for f in fake]) / (density_k * len(fake))
    coverage = np.mean(np.any([inside(f, real, wide) for f in fake], axis=0))
    return float(precision), float(recall), float(density), float(coverage)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.3, 0.2), (2.0, 0.0), (1.0, 2.0)])
def test_manifold_measures_match_a_slow_loop(scale, shift):
    fake, real = normal(45, 3, 0, scale, shift) + 50, normal(60, 3, 1) + 50  # far from the origin: centring matters
    exact = slow_manifold(fake.numpy(), real.numpy(), 3, 5)
    for chunk in (7, 100):
        assert manifold(fake, real, chunk=chunk) == pytest.approx(exact, abs=1e-12)
    assert manifold(fake.float(), real.float()) == pytest.approx(exact, abs=0.02)  # one or two of 45 points on a rim
    assert manifold(fake, real, 3, 5, real_radii=squared_radii(real, (3, 5))) == manifold(fake, real)


def test_manifold_measures_of_equal_distant_and_collapsed_samples():
    real = normal(400, 4, 0)
    same = manifold(normal(400, 4, 1), real)
    assert same.density == pytest.approx(1.0, abs=0.1)
    assert same.coverage == pytest.approx(1 - 2**-5, abs=0.03)
    assert manifold(real + 100, real) == (0.0, 0.0, 0.0, 0.0)
    copies = real[:1].expand(50, 4) + 1e-6 * normal(50, 4, 2)
    collapsed = manifold(copies, real)
    assert collapsed.precision == 1.0
    assert collapsed.recall < 0.01
    assert collapsed.coverage < 0.1
    with pytest.raises(ValueError, match="3 samples have no neighbour number 3"):
        manifold(real[:3], real)


def test_nearest_distances_and_radii_match_a_slow_version():
    x, y = normal(23, 6, 0) + 20, normal(31, 6, 1) + 20
    all_pairs = np.linalg.norm(x.numpy()[:, None] - y.numpy()[None], axis=2)
    assert np.allclose(nearest_distances(x, y, chunk=5), all_pairs.min(1), rtol=1e-9)
    assert np.allclose(nearest_distances(y, y), 0, atol=1e-6)
    own = np.sort(np.linalg.norm(x.numpy()[:, None] - x.numpy()[None], axis=2), axis=1)  # column 0 is itself
    assert np.allclose(squared_radii(x, (1, 4), chunk=5), own[:, [1, 4]].T ** 2, rtol=1e-9)


def test_memorisation_distinguishes_copies_from_fresh_and_blurred_samples():
    train, held_out, fresh = normal(3000, 4, 0), normal(1000, 4, 1), normal(2000, 4, 2)
    none = memorisation(fresh, train, held_out)
    # Chance is 3/4: the standard error of excess is sqrt(3/16 / 2000) / (1/4) = 0.039.
    assert abs(none.excess) < 3 * 0.039
    assert none.ratio == pytest.approx(1.0, abs=0.05)
    assert none.copies < 0.02
    copied = memorisation(train[:500] + 1e-3, train, held_out)
    assert copied.excess > 0.95
    assert copied.ratio < 0.05
    assert copied.copies > 0.9
    assert copied.error == 0
    repeats = [memorisation(normal(500, 4, 10 + i), train, held_out) for i in range(30)]
    # Only values of one sign are kept, so they scatter less than their errors say.
    scatter = torch.tensor([run.excess for run in repeats if run.excess < 0]).std().item()
    assert 0.3 < scatter / np.mean([run.error for run in repeats if run.excess < 0]) < 1.5
    half = memorisation(torch.cat([train[:1000], fresh[:1000]]), train, held_out)
    assert half.excess == pytest.approx(0.5, abs=0.08)
    blurred = memorisation(0.3 * fresh, train, held_out)  # close to everything, but not copies
    assert abs(blurred.excess) < 0.15
    assert blurred.ratio < 0.8
    far = memorisation(fresh + 30, train, held_out)  # a few hubs are nearest to all samples, so chance decides
    assert far.excess == far.copies == 0.0
    assert far.ratio > 10
    few = memorisation(held_out[:8] + 1e-3, train[:2999], torch.cat([held_out, train[2999:]]))
    assert few.excess >= -1  # and not -n / m, which is below -1 wherever there are more training images
    distances = nearest_distances(held_out, train)
    assert memorisation(fresh, train, held_out, distances) == none


class Pixels(nn.Module):
    """A net whose features are the row means, and whose three logits are the first three of them."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        features = self.scale * x.mean(dim=(1, 3))
        return features, features[:, :3]


def test_image_measures_rank_real_images_above_noise():
    g = torch.Generator().manual_seed(0)
    real, train, fresh = (torch.rand(120, 1, 6, 6, generator=g).cumsum(2).div(6) for _ in range(3))
    net = FeatureNet("rows", Pixels(), balanced=True)
    reference = Reference(real, train, net)
    floor, noise = reference.judge(fresh), reference.judge(torch.rand(120, 1, 6, 6, generator=g))
    for name in ("fid", "kid"):
        assert floor[name] < noise[name]
    for name in ("precision", "recall", "density", "coverage"):
        assert floor[name] > noise[name]
    copies = reference.judge(train)
    assert copies["memorised"] == copies["train_copies"] == 1.0
    assert set(copies) == {measure.name for measure in MEASURES} - {"label_accuracy"}
    assert Reference(real, train, net).judge(fresh) == floor  # judging does not change the reference
    labelled = Reference(real, None, net).judge(fresh, labels=torch.full((120,), 2))
    assert labelled["label_accuracy"] == 1.0  # the rows get brighter downwards
    assert "memorised" not in labelled
    assert "classes" not in Reference(real, None, FeatureNet("rows", Pixels())).judge(fresh)
    with pytest.raises(ValueError, match="not finite"):
        reference.judge(fresh / 0.0)


def test_sharpness_is_the_variance_of_second_differences():
    x = normal(5, 3 * 8 * 9, 0).view(5, 3, 8, 9)
    gray = x.mean(1).numpy()
    laplacian = (
        gray[:, :-2, 1:-1] + gray[:, 2:, 1:-1] + gray[:, 1:-1, :-2] + gray[:, 1:-1, 2:] - 4 * gray[:, 1:-1, 1:-1]
    )
    assert edges(x).item() == pytest.approx(laplacian.reshape(5, -1).var(1, ddof=1).mean(), rel=1e-12)
    assert sharpness(x, x) == 1.0
    assert sharpness(0.5 * x + 3.0, x) == pytest.approx(0.25, rel=1e-12)  # half the contrast and another brightness
    blurred = nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
    assert sharpness(blurred, x) < 0.1
    assert math.isnan(sharpness(torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)))
