"""Pictures of series: that they are drawn for all kinds of channels, and that what they show is there."""

import math

import numpy as np
import pytest
import torch

from genlab.data.base import Dataset, Split
from genlab.data.columns.category import Category
from genlab.data.columns.numeric import Real
from genlab.data.columns.schema import Schema
from genlab.data.fields import numeric
from genlab.models.base import Family
from genlab.plots import series
from genlab.plots.drawers import DRAWERS
from genlab.plots.embedding import principal_plane, tsne_plane
from genlab.plots.forecasts import forecast
from genlab.plots.snapshots import snapshot


def waves(n: int = 30, channels: int = 2, steps: int = 10) -> Dataset:
    """Sines of random phase in units of their own."""
    g = torch.Generator().manual_seed(0)

    def split() -> Split:
        phase = 6 * torch.rand(n, channels, 1, generator=g)
        return Split(torch.sin(phase + torch.arange(steps) / 2))

    fields = tuple(numeric(f"wave $ {i}", 100.0, 5.0) for i in range(channels))
    return Dataset("waves", {name: split() for name in ("train", "validation", "test")}, fields)


def states(n: int = 30, steps: int = 10) -> Dataset:
    """Series of words, and of numbers of which a step has none at all."""
    g = np.random.default_rng(0)
    columns = (
        Real("level", **Real.arguments(g.normal(size=200)), decimals=None, missing=""),
        Category("state", ["on", "off", "idle", "a word that is longer than its place"]),
    )
    missing = g.integers(0, 2, (n, steps))
    missing[:, 3] = 1
    packed = [g.normal(size=(n, steps)), missing, g.integers(0, 4, (n, steps))]
    split = Split(torch.from_numpy(np.stack(packed, axis=1)).float())
    return Dataset("states", {"train": split, "validation": split, "test": split}, "real", steps=Schema(columns))


class Copier(Family):
    """Samples and reconstructs by repeating the training series."""

    def __init__(self, data: Dataset) -> None:
        super().__init__(data.spec)
        self.data = data
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def phases(self):
        return ()

    def sample(self, n, y=None):
        x = self.data.head("train", n)["x"]
        return x[torch.arange(n) % len(x)]

    def reconstruct(self, x):
        return x


@pytest.mark.parametrize("make", [waves, states])
def test_training_draws_samples_and_reconstructions_of_series(make):
    data = make()
    reasons: dict[str, str] = {}
    pictures = snapshot(Copier(data), data, reasons=reasons)
    assert reasons == {}
    assert set(pictures) == {"samples", "reconstructions"}
    for picture in pictures.values():
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.std() > 10


def test_a_sheet_is_drawn_with_and_without_real_series():
    data = waves(channels=1)
    arrays = {"samples": data.real("train", 20)}
    drawer = DRAWERS["sequence"]
    alone = drawer.sheet(data.spec, arrays, None, lambda: None)
    beside = drawer.sheet(data.spec, arrays, None, lambda: data.real("test", 20))
    assert beside.shape[0] > alone.shape[0]  # with the planes below
    x = arrays["samples"]
    translated = drawer.moved(data.spec, x, x, x, data.real("test", 20))
    assert translated.std() > 10


def test_only_the_first_channels_of_many_get_a_row():
    few, many = waves(channels=series.CHANNELS), waves(channels=40)
    heights = [series.series(data.spec, None, data.real("train", 9)).shape[0] for data in (few, many)]
    assert heights[0] == heights[1]


def test_windows_of_one_step_and_constant_channels_are_drawn():
    data = waves(steps=1)
    assert series.series(data.spec, data.real("test", 5), data.real("train", 5)).std() > 5
    constant = torch.full((6, 2, 10), 3.0)
    assert series.series(waves().spec, constant, constant).std() > 5


def test_a_forecast_is_drawn_where_cells_are_hidden():
    truth = torch.sin(torch.arange(20.0) / 3).repeat(2, 1)
    known = torch.ones(2, 20, dtype=torch.bool)
    known[0, 14:] = False
    known[1, 5:8] = False
    ensemble = truth + 0.2 * torch.randn(50, 2, 20, generator=torch.Generator().manual_seed(0))
    truth[0, 18:] = math.nan
    picture = forecast(truth, known, ensemble, ("a", "b"), steps=range(2000, 2020))
    fan = (abs(picture.astype(int) - (255, 203, 158)).sum(2) < 30).any(0)  # columns of pixels with the 90 % band
    assert 0.1 < fan.mean() < 0.6
    everything = forecast(truth, torch.ones_like(known), ensemble)
    assert not (abs(everything.astype(int) - (255, 203, 158)).sum(2) < 5)[60:].any()


def test_principal_components_are_those_of_the_covariance():
    x = torch.randn(50, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    plane = principal_plane({"real": x, "generated": x[:7]})
    assert plane["generated"].shape == (7, 2)
    assert np.allclose(plane["real"][:7], plane["generated"])
    flat = ((x - x.mean((0, 2), keepdim=True)) / x.std((0, 2), correction=0, keepdim=True)).flatten(1)
    assert np.allclose(plane["real"].var(0, ddof=1), torch.linalg.eigvalsh(flat.T.cov()).flip(0)[:2])
    pytest.importorskip("sklearn")
    placed = tsne_plane({"real": x, "generated": x[:7]})
    assert placed is not None
    assert placed["generated"].shape == (7, 2)
    assert tsne_plane({"real": x[:2]}) is None
