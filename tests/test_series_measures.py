"""Measures of series against closed forms, slow versions and scipy, and what they say of known samplers."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal, stats
from test_compare import make_run
from torch import Tensor

from genlab.commands import series as elsewhere
from genlab.commands.evaluate import read_samples
from genlab.data.base import Dataset, Split, data_root
from genlab.data.columns.category import Category
from genlab.data.columns.numeric import Real
from genlab.data.columns.schema import Schema
from genlab.data.fields import numeric
from genlab.errors import UserError
from genlab.evaluation.evaluate import Plan, judge_samples
from genlab.evaluation.judges import judge_of, quick_judge_of
from genlab.evaluation.report import Report
from genlab.metrics.catalogue import MEASURES
from genlab.metrics.series import channels, copies, dependence, forecasts, rocket, scores, signature, timegan
from genlab.metrics.series.noise import gaussian_series
from genlab.metrics.series.recurrent import Recurrent

STEPS, PHI = 16, 0.8


def autoregressive(n: int, seed: int, phi: float = PHI, coupled: float = 0.9, steps: int = STEPS) -> Tensor:
    """Two stationary AR(1) channels of variance 1 and correlation `coupled`: (n, 2, steps) float32."""
    g = np.random.default_rng(seed)
    noise = g.normal(size=(steps, n, 2)) @ np.linalg.cholesky([[1, coupled], [coupled, 1]]).T
    x = [noise[0]]
    for step in noise[1:]:
        x.append(phi * x[-1] + math.sqrt(1 - phi**2) * step)
    return torch.from_numpy(np.stack(x, axis=2)).float()


def data(n: int = 300, skewed: bool = True) -> Dataset:
    """A data set of such series in units of their own: one channel of log-normal values and one of normal ones."""

    def split(size: int, seed: int) -> Split:
        x = autoregressive(size, seed)
        return Split(torch.stack([x[:, 0].exp() if skewed else x[:, 0], x[:, 1]], dim=1))

    fields = (numeric("price", 100.0, 10.0), numeric("volume", 5.0, 2.0))
    return Dataset("series", {"train": split(n, 0), "validation": split(n, 1), "test": split(n, 2)}, fields)


def test_second_moments_are_those_of_the_process():
    x = autoregressive(20_000, 0)
    matrix = dependence.correlations(x)
    assert matrix[0, 1] == pytest.approx(0.9, abs=0.01)
    flat = x.double().transpose(0, 1).flatten(1)
    assert torch.allclose(matrix, torch.corrcoef(flat))
    own = dependence.autocorrelations(x, 5)
    assert np.allclose(own, [[PHI**k for k in range(1, 6)]] * 2, atol=0.02)
    independent = autoregressive(20_000, 1, phi=0.5, coupled=0.0)
    assert dependence.correlation_error(independent, x)["correlation_error"] == pytest.approx(0.9, abs=0.02)
    lags = np.arange(1, STEPS // 2 + 1)
    gap = dependence.autocorrelation_error(independent, x)["autocorrelation_error"]
    assert gap == pytest.approx(np.abs(0.5**lags - PHI**lags).mean(), abs=0.02)
    assert dependence.correlation_error(x[:, :1], x[:, :1]) == {}
    with pytest.raises(ValueError, match="two steps"):
        dependence.autocorrelation_error(x[:, :, :1], x[:, :, :1])


def test_spectrum_is_that_of_scipy_and_doubling_the_amplitude_is_6_decibels():
    x = autoregressive(50, 0)
    centred = x.double() - x.double().mean((0, 2), keepdim=True)
    options: Any = {"detrend": False, "return_onesided": False}
    _, density = signal.periodogram(centred.numpy(), **options)
    assert np.allclose(dependence.spectrum(x), density.mean(0)[:, : STEPS // 2 + 1])
    assert dependence.spectrum_error(2 * x, x)["spectrum_error"] == pytest.approx(20 * math.log10(2), abs=1e-4)
    assert dependence.spectrum_error(x + 3, x)["spectrum_error"] == pytest.approx(0, abs=1e-4)


def tensor_exponentials(path: np.ndarray) -> np.ndarray:
    """The signature of one path (L, d) by products of tensor exponentials in the full tensor algebra, word by word."""
    d = path.shape[1]
    words = [word for level in range(4) for word in itertools.product(range(d), repeat=level)]
    result = {word: float(not word) for word in words}
    for v in np.diff(path, axis=0):
        piece = {word: math.prod(v[i] for i in word) / math.factorial(len(word)) for word in words}
        result = {word: sum(result[word[:k]] * piece[word[k:]] for k in range(len(word) + 1)) for word in words}
    return np.array([result[word] for word in words if word])


def test_signature_is_the_product_of_tensor_exponentials():
    paths = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 6, 3)))
    found = signature.signature(paths)
    assert np.allclose(found, [tensor_exponentials(path) for path in paths.numpy()])
    # The shuffle identity holds for every path: S^i S^j = S^ij + S^ji.
    first, second = found[:, :3], found[:, 3:12].view(3, 3, 3)
    assert torch.allclose(first[:, :, None] * first[:, None], second + second.transpose(1, 2))
    line = torch.tensor([[[0.0, 0.0], [2.0, 3.0]]])
    expected = [2, 3, *np.outer([2, 3], [2, 3]).ravel() / 2, *np.multiply.outer([4, 6, 6, 9], [2, 3]).ravel() / 6]
    assert np.allclose(signature.signature(line)[0], expected)


def test_mean_signature_of_brownian_motion_is_known():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 1, 16, generator=g).cumsum(2) / 4  # E of a Brownian motion's square at time 1 is 1
    mean, _ = signature.mean_signature(x)
    # Words of (time, value): E S^1 = 1, E S^2 = 0, E S^11 = E S^22 = ½, E S^12 = E S^21 = 0.
    assert np.allclose(mean[:6], [1, 0, 0.5, 0, 0, 0.5], atol=0.02)
    wide = torch.zeros(2, 67, 2)
    with pytest.raises(ValueError, match="67 channels have"):
        signature.mean_signature(wide)


def test_rocket_features_are_those_of_a_slow_convolution():
    x = autoregressive(4, 0)
    drawn = rocket.kernels(2, STEPS, count=20)
    found = rocket.features(x, drawn).view(4, 20, 2)
    for series, rows in zip(x.numpy(), found.numpy(), strict=True):
        for kernel, (maximum, positive) in zip(drawn, rows, strict=True):
            read = np.pad(series[kernel.channels.numpy()], ((0, 0), (kernel.padding, kernel.padding)))
            reach = (kernel.weights.shape[2] - 1) * kernel.dilation
            weights = kernel.weights[0].numpy()
            out = [
                (read[:, t : t + reach + 1 : kernel.dilation] * weights).sum() + kernel.bias
                for t in range(read.shape[1] - reach)
            ]
            assert maximum == pytest.approx(max(out), abs=1e-5)
            assert positive == pytest.approx(np.mean(np.array(out) > 0), abs=1e-6)
    assert len({kernel.dilation for kernel in rocket.kernels(2, 128)}) > 3
    assert rocket.features(x[:, :, :1], rocket.kernels(2, 1)).isfinite().all()


def test_gaussian_series_have_each_channels_autocovariance_and_no_correlation():
    x = data().real("train", 300)
    noise = gaussian_series(x, 4000)
    for channel in range(2):
        assert np.allclose(noise[:, channel].T.cov(), x[:, channel].T.cov(), rtol=0.3, atol=0.2 * x[:, channel].var())
    assert abs(dependence.correlations(noise)[0, 1]) < 0.05
    assert dependence.correlations(x)[0, 1] > 0.6


def test_copies_of_training_series_are_found():
    train, held_out, fresh = (autoregressive(300, seed) for seed in range(3))
    honest = copies.copies(fresh, held_out, train)
    assert honest["nearer_to_train"] == pytest.approx(0.5, abs=0.1)
    assert honest["train_distance"] == pytest.approx(1, abs=0.1)
    assert honest["train_copies"] < 0.05
    assert honest["exact_copies"] == 0
    thief = copies.copies(torch.cat([train[:150], train[:150] + 0.01]), held_out, train)
    assert thief["exact_copies"] == 0.5
    assert thief["train_copies"] == thief["nearer_to_train"] == 1
    assert thief["train_distance"] < 0.1
    distance = torch.cdist(fresh.flatten(1).double(), train.flatten(1).double()).amin(1)
    assert torch.allclose(copies.nearest(fresh.flatten(1), train.flatten(1)), distance)
    with pytest.raises(ValueError, match="needs samples"):
        copies.copies(fresh[:0], held_out, train)


def test_every_measure_orders_the_floor_a_perturbation_and_noise():
    real, train, fresh = (autoregressive(1000, seed) for seed in range(3))
    g = torch.Generator().manual_seed(0)
    changed = fresh.clone()
    changed[:, 1] = 0.7 * fresh[:, 1] + 0.7 * torch.randn(fresh[:, 1].shape, generator=g) + 0.15
    white = torch.rand(fresh.shape, generator=g) * 4 - 2
    prepared = rocket.Rocket(train, real), signature.Signatures(train, real)

    def measures(fake: Tensor) -> dict[str, float]:
        found = prepared[0].distance(fake) | prepared[1].distance(fake)
        found |= dependence.correlation_error(fake, real) | dependence.autocorrelation_error(fake, real)
        found |= dependence.spectrum_error(fake, real)
        found |= scores.discriminative_score(fake, real, judges=1, steps=150)
        return found | scores.predictive_score(fake, real, nets=1, steps=150)

    floor, middle, noise = measures(fresh), measures(changed), measures(white)
    for name, value in floor.items():
        if not name.endswith("score_error"):
            assert value < middle[name] < noise[name], name


def test_recurrent_nets_read_pieces_of_long_series(monkeypatch):
    monkeypatch.setattr(scores, "LONGEST", 4)
    x = torch.arange(30.0).view(1, 1, 30).expand(200, 1, 30)
    pieces = scores._steps_first(x, seed=0)
    assert pieces.shape == (200, 4, 1)
    assert (pieces.diff(dim=1) == 1).all()
    assert set(pieces[:, 0, 0].tolist()) == set(range(27))


def test_a_judge_of_series_tells_real_from_changed_samples():
    series = data()
    judge = judge_of(series, "test", 300)
    parts = judge.parts(series.real("validation", 300), None, None)
    cheap = [name for name in parts if name not in ("discriminative", "predictive")]
    good = {key: value for name in cheap for key, value in parts[name]().items()}
    assert set(good) <= set(MEASURES)
    drawn = judge.noise(300)
    assert drawn.shape == (300, 2, STEPS)
    parts = judge.parts(drawn, None, None)
    bad = {key: value for name in cheap for key, value in parts[name]().items()}
    for name in ("rocket_frechet", "signature_distance", "correlation_error", "marginal_ks", "sliced_w2"):
        assert good[name] < bad[name], name
    assert bad["spectrum_error"] == pytest.approx(good["spectrum_error"], abs=1)  # noise has the same second moments
    assert list(judge.columns(drawn)) == ["price", "volume"]  # the worst first: a log-normal channel is not Gaussian
    x, y = (cells[:, 0].flatten().numpy() for cells in (drawn, series.real("test", 300)))
    kolmogorov: Any = stats.ks_2samp(x, y)
    assert judge.columns(drawn)["price"] == pytest.approx(kolmogorov.statistic)


def test_the_quick_form_trains_no_net_and_draws_no_random_number():
    series = data(n=60)
    state = torch.get_rng_state()
    values = quick_judge_of(series)(series.real("train", 60))
    names = ("spectrum_error", "autocorrelation_error", "correlation_error", "marginal_ks", "sliced_w2", "spread")
    assert list(values) == [f"eval/{name}" for name in names]
    Recurrent(2, 3, 1, torch.Generator(), torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_report_has_floor_noise_and_the_papers_protocol(monkeypatch):
    for module, name in ((scores, "STEPS"), (timegan, "CLASSIFIED"), (timegan, "PREDICTED")):
        monkeypatch.setattr(module, name, 2)
    series, report = data(n=60), Report(source="test")
    judge_samples(series.real("validation", 60), series, Plan(60, protocol="timegan", repeats=2), None, report)
    assert report.left_out == {}
    row = report.measures["discriminative_score"]
    assert None not in (row.error, row.floor, row.noise)
    assert report.measures["exact_copies"].floor == 0  # of training series it would be 1
    assert report.measures["timegan_predictive"].floor is not None
    assert report.measures["sliced_w2"].unit == "channel deviations"
    assert "rocket_frechet" in "\n".join(report.lines())
    few = Report(source="test")
    judge_samples(series.real("validation", 3), series, Plan(3), None, few)
    assert "needs 20 series" in few.left_out["discriminative"]
    assert "rocket_frechet" in few.measures


def test_series_made_elsewhere_are_read_with_channels_last_or_first(tmp_path):
    series, path = data(n=30), tmp_path / "made.npz"
    x = series.real("test", 10)

    def read(array) -> Tensor:
        np.savez(path, samples=array)
        return read_samples(path, series)

    assert torch.allclose(read(x.transpose(1, 2).numpy()), x)
    assert torch.allclose(read(x.numpy()), x)
    with pytest.raises(UserError, match=r"holds \(10, 16, 3\), but series needs at least 2 series: \(N, 16, 2\)"):
        read(np.zeros((10, 16, 3)))
    with pytest.raises(UserError, match="not finite in sample 4"):
        read(np.where(np.arange(10)[:, None, None] == 4, np.nan, x.numpy()))
    with pytest.raises(UserError, match="not numbers"):
        read(np.full((10, 16, 2), "a"))


def test_a_single_channel_needs_no_axis_of_its_own():
    x = autoregressive(10, 0)[:, :1]
    single = Dataset("one", {name: Split(x) for name in ("train", "validation", "test")}, "real")
    assert torch.equal(elsewhere.units(x[:, 0].numpy(), single, Path("made.npz")).float(), x)


def test_runs_on_series_are_compared_beside_floor_and_noise(cli, tmp_path):
    names = ("rocket_frechet", "discriminative_score")
    for i, (run, value) in enumerate((("worse", 9.0), ("better", 4.0))):
        row = {"value": value, "error": 0.01, "floor": 1.25, "noise": 500.0, "better": "min", "text": "", "unit": ""}
        make_run(tmp_path / run, 1.0, lr=0.1 + i, measures=dict.fromkeys(names, row))
    code, out, err = cli("compare", str(tmp_path), f"out={tmp_path / 'compared'}")
    assert code == 0, err
    assert "best first by rocket_frechet (min)" in out
    assert "discriminative_score" in out
    floor = next(line for line in out.splitlines() if "real training data" in line)
    assert floor.count("1.25") == 2
    assert "500" in next(line for line in out.splitlines() if line.strip().startswith("noise"))


def test_a_protocol_is_refused_where_it_does_not_apply(cli):
    file = ("evaluate", "samples=made.npz", "data=gaussian2d", "data.n=50", "device=cpu")
    code, out, err = cli(*file, "protocol=timegan")
    assert (code, out) == (2, "")
    assert err == "genlab: protocol: timegan applies to series only; a sample has the shape (2,)\n"
    code, out, err = cli(*file, "protocol=timegam")
    assert (code, out) == (2, "")
    assert "timegan" in err
    code, out, err = cli(*file, "protocol=timegan", "repeats=0")
    assert err == "genlab: repeats: 0 is not an integer of at least 1\n"


def test_series_of_words_and_missing_cells_are_judged():
    g = np.random.default_rng(0)
    columns = (
        Real("level", **Real.arguments(g.normal(size=200)), decimals=None, missing=""),
        Category("state", ["on", "off", "idle"]),
    )
    schema = Schema(columns)

    def split(n: int) -> Split:
        packed = [g.normal(size=(n, 8)), g.integers(0, 2, (n, 8)), g.integers(0, 3, (n, 8))]
        return Split(torch.from_numpy(np.stack(packed, axis=1)).float())

    series = Dataset("series", {name: split(40) for name in ("train", "validation", "test")}, "real", steps=schema)
    cells = channels.values(series.spec, series.real("test", 40))
    assert cells.shape == (40, 2, 8)
    assert 0.3 < cells[:, 0].isnan().double().mean() < 0.7
    assert channels.channels_of(series.spec) == [("level", ()), ("state", ("on", "off", "idle"))]
    units = series.real("test", 40)
    again = elsewhere.units(cells.numpy(), series, Path("made.npz"))
    assert torch.equal(channels.values(series.spec, again).nan_to_num(7), cells.nan_to_num(7))
    assert torch.equal(elsewhere.units(units.transpose(1, 2).numpy(), series, Path("made.npz")), units)
    with pytest.raises(UserError, match="words of 'state' are given by their places 0 to 2"):
        elsewhere.units(cells.nan_to_num().numpy() + 1, series, Path("made.npz"))
    judge = judge_of(series, "test", 40)
    drawn = judge.noise(40)
    assert drawn.shape == (40, *series.spec.shape)
    assert torch.equal(drawn[:, 3:].sum(1), torch.ones(40, 8))  # one word at each step
    parts = judge.parts(drawn, None, None)
    for name in ("rocket", "signature", "correlation", "spectrum", "marginals", "copies"):
        assert all(map(math.isfinite, parts[name]().values())), name
    with pytest.raises(UserError, match="without missing cells; exclude the channel 'level'"):
        timegan.check(series.spec)


def test_the_papers_protocol_scales_to_the_unit_interval_and_finds_the_last_channel():
    series = autoregressive(200, 0)
    (scaled,) = timegan.unit_scale(series)
    assert (scaled.amin((0, 1)) == 0).all()
    assert torch.allclose(scaled.amax((0, 1)), torch.ones(2))
    (kept,) = timegan.unit_scale(series.clamp(0.2, 0.9))
    assert torch.equal(kept, series.clamp(0.2, 0.9).transpose(1, 2))
    # Shifting the last channel of the samples shifts what is predicted; the first one is an input only.
    moved = scaled.clone()
    moved[:, :, 1] *= 0.3
    errors = [timegan.predicted(x, scaled, 0, steps=300) for x in (scaled, moved)]
    assert errors[0] < errors[1]
    assert timegan.classified(moved, scaled, 0, steps=300) > 0.2
    single = Dataset("one", {name: Split(series[:, :1]) for name in ("train", "validation", "test")}, "real")
    with pytest.raises(UserError, match="needs two channels at least"):
        timegan.check(single.spec)


@pytest.mark.slow
def test_the_predictive_score_of_the_papers_sines_is_the_known_one():
    g = np.random.default_rng(0)
    frequency, phase = g.uniform(0, 0.1, (2, 10_000, 1, 5))
    real = torch.from_numpy((np.sin(frequency * np.arange(24)[:, None] + phase) + 1) / 2).float()
    assert timegan.predicted(real, real, seed=0) == pytest.approx(0.093, abs=0.001)


@pytest.mark.slow
@pytest.mark.real_data
def test_the_predictive_score_of_the_papers_stocks_is_the_known_one():
    path = data_root() / "series" / "stock.csv"
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    table = torch.from_numpy(np.loadtxt(path, delimiter=",", skiprows=1))
    (real,) = timegan.unit_scale(table.T[None])  # scaled by the extremes of the whole file
    windows = real[0].unfold(0, 24, 1).transpose(1, 2).contiguous()
    assert timegan.predicted(windows, windows, seed=0) == pytest.approx(0.037, abs=0.001)


def test_crps_of_a_normal_ensemble_is_the_closed_form():
    g = torch.Generator().manual_seed(0)
    mean, deviation, truth = 1.0, 2.0, torch.tensor([0.0, 1.0, 4.5])
    ensemble = mean + deviation * torch.randn(4000, 3, generator=g)
    z = ((truth - mean) / deviation).numpy()
    exact = deviation * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi))
    assert np.allclose(forecasts.crps(ensemble, truth), exact, atol=0.05)
    # The sorted form is the mean over all pairs.
    few = ensemble[:7, 0].double()
    pairs = (few[:, None] - few).abs()
    biased = (few - truth[0]).abs().mean() - pairs.mean() / 2
    unbiased = (few - truth[0]).abs().mean() - pairs.sum() / (7 * 6) / 2
    assert forecasts.crps(few, truth[0].double()) == pytest.approx(unbiased.item())
    assert forecasts.crps(few, truth[0].double(), fair=False) == pytest.approx(biased.item())
    assert forecasts.crps(few[:1], truth[0].double()) == pytest.approx((few[0] - truth[0]).abs().item())


def test_coverage_of_a_normal_interval_is_its_level():
    g = torch.Generator().manual_seed(0)
    ensemble, truth = torch.randn(500, 400, generator=g), torch.randn(400, generator=g)
    assert forecasts.coverage(ensemble, truth, 0.9) == pytest.approx(0.9, abs=0.05)
    assert forecasts.coverage(ensemble, truth + 10, 0.9) == 0
    assert forecasts.mae(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0])) == 1.5
    with pytest.raises(ValueError, match="between 0 and 1"):
        forecasts.coverage(ensemble, truth, 90)


def test_the_seasonal_naive_forecast_repeats_the_last_season():
    history = torch.arange(6.0).expand(2, 1, 6)
    assert forecasts.seasonal_naive(history, 7, period=3)[0, 0].tolist() == [3, 4, 5, 3, 4, 5, 3]
    assert forecasts.seasonal_naive(history, 2)[0, 0].tolist() == [5, 5]
    with pytest.raises(ValueError, match="shorter than a period"):
        forecasts.seasonal_naive(history, 2, period=7)
