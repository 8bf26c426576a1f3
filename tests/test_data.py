"""Data sets: exact densities, numbered batches, ranges, and files that are missing, damaged or real."""

import gzip
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import blobs

from genlab.data.base import Spec, Stream, data_root, mix
from genlab.data.gaussian2d import KINDS, Gaussian2D, Mixture, mixture
from genlab.data.mnist import MNIST, FashionMNIST, resize
from genlab.errors import UserError

MIXTURES = ("two", "two_narrow", "ring", "grid")


@pytest.mark.parametrize("kind", MIXTURES)
def test_mixture_density_integrates_to_one(kind):
    m = mixture(kind)
    assert m is not None
    # A grid of ±8σ around one mode holds all of its mass, and what other modes have there.
    side = torch.linspace(-8, 8, 801, dtype=torch.float64) * m.sigma
    total = 0.0
    centre = m.modes.double().mean(0)
    wide = torch.linspace(-12, 12, 1201, dtype=torch.float64) if m.sigma >= 0.5 else None
    if wide is not None:
        points = centre + torch.cartesian_prod(wide, wide)
        total = m.log_prob(points).exp().sum().item() * (wide[1] - wide[0]).item() ** 2
    else:  # narrow modes do not overlap: the mass around each is 1/K
        points = m.modes[0].double() + torch.cartesian_prod(side, side)
        total = m.log_prob(points).exp().sum().item() * (side[1] - side[0]).item() ** 2 * len(m.modes)
    assert total == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "published"), [("two", 3.524), ("two_narrow", 2.145), ("ring", -4.293), ("grid", 0.065)]
)
def test_entropy_matches_the_monte_carlo_mean(kind, published):
    m = mixture(kind)
    assert m is not None
    x, _ = m.sample(200_000, torch.Generator().manual_seed(0))
    entropy = m.entropy()
    assert entropy == pytest.approx(-m.log_prob(x).mean().item(), abs=0.01)  # standard error 0.0023
    assert entropy == pytest.approx(published, abs=1e-3)


def test_entropy_of_one_gaussian_matches_the_closed_form():
    m = Mixture(torch.zeros(1, 2), 0.3)
    assert m.entropy() == pytest.approx(math.log(2 * math.pi * math.e * 0.09), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_points_are_finite_seeded_and_labelled(kind):
    a, b, c = Gaussian2D(kind, n=50), Gaussian2D(kind, n=50), Gaussian2D(kind, n=50, seed=1)
    train = a.splits["train"]
    assert train.x.shape == (50, 2)
    assert train.x.dtype == torch.float32
    assert train.x.isfinite().all()
    assert torch.equal(train.x, b.splits["train"].x)
    assert not torch.equal(train.x, c.splits["train"].x)
    y = a.splits["test"].y
    assert y is not None
    assert sorted(y.unique().tolist()) == list(range(a.spec.classes))
    assert not torch.equal(train.x, a.splits["validation"].x[:50])


def test_a_wrong_kind_or_size_is_refused():
    with pytest.raises(UserError, match="did you mean 'ring'"):
        Gaussian2D("rnig")
    with pytest.raises(UserError, match="n: must be >= 1, got 0"):
        Gaussian2D(n=0)


def test_a_batch_depends_only_on_seed_and_number():
    data = Gaussian2D(n=10)
    forward = Stream(data, 4, seed=3)
    batches = [forward(n)["x"] for n in range(8)]
    backward = Stream(data, 4, seed=3)
    for n in reversed(range(8)):
        assert torch.equal(backward(n)["x"], batches[n])
    assert not torch.equal(Stream(data, 4, seed=4)(0)["x"], batches[0])


def test_each_pass_has_every_sample_once():
    data = Gaussian2D(n=10)
    stream = Stream(data, 4, seed=0)
    points = torch.cat([stream(n)["x"] for n in range(5)])  # 20 points: two passes
    for epoch in (points[:10], points[10:]):
        assert torch.equal(epoch.sort(dim=0).values, data.splits["train"].x.sort(dim=0).values)
    assert not torch.equal(points[:10], points[10:])


def test_parts_make_up_the_batch_and_small_data_wraps_around():
    data = Gaussian2D(n=3)
    whole, parts = Stream(data, 8, seed=0), Stream(data, 8, seed=0, parts=2)
    assert torch.equal(whole(5)["x"], torch.cat([parts(5, 0)["x"], parts(5, 1)["x"]]))
    assert torch.equal(whole(5)["y"], torch.cat([parts(5, 0)["y"], parts(5, 1)["y"]]))


def test_pixels_are_encoded_into_each_range_and_decoded_back():
    raw = blobs().splits["train"].x
    for data, low, high in ((blobs(range="symmetric"), -1, 1), (blobs(range="unit"), 0, 1)):
        x = data.encode(raw)
        assert low <= x.min() < x.max() <= high
        assert torch.allclose(data.decode(x) * 255, raw.float(), atol=1e-3)
    data = blobs(range="binary", n=500)
    torch.manual_seed(0)
    x = data.encode(data.splits["train"].x)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    pixels = data.real("train", 500)
    assert x.mean().item() == pytest.approx(pixels.mean().item(), abs=0.005)
    assert not torch.equal(x, data.encode(data.splits["train"].x))  # drawn again each time
    with pytest.raises(UserError, match=r"data\.range"):
        blobs(range="real")


def test_resize_pads_to_32_and_interpolates_to_64():
    x = blobs().splits["train"].x[:3]
    padded = resize(x, 32)
    assert torch.equal(padded[:, :, 2:30, 2:30], x)
    assert padded.sum() == x.sum()
    large = resize(x, 64)
    assert large.shape == (3, 1, 64, 64)
    assert large.dtype == torch.uint8
    assert large.float().mean().item() == pytest.approx(x.float().mean().item(), rel=0.02)


def test_mixed_seeds_are_distinct_and_in_range():
    seeds = {mix(a, b) for a in range(100) for b in range(100)}
    assert len(seeds) == 10_000
    assert mix(0, 1) != mix(1, 0)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_data_root_is_the_key_or_else_the_variable_or_else_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("GENLAB_DATA", raising=False)
    assert data_root() == tmp_path / "genlab"
    monkeypatch.setenv("GENLAB_DATA", "/elsewhere")
    assert data_root() == Path("/elsewhere")
    assert data_root("/here") == Path("/here")


def test_missing_files_without_a_network_suggest_three_alternatives(monkeypatch, tmp_path):
    from torchvision import datasets

    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"file://{tmp_path}/nowhere/"])
    with pytest.raises(UserError, match=r"genlab prepare data=mnist.*GENLAB_DATA.*gaussian2d") as caught:
        MNIST(root=str(tmp_path / "empty"))
    assert "\n" not in str(caught.value)


@pytest.mark.real_data
def test_real_mnist_has_the_published_counts_and_splits():
    data = MNIST(limit=100)
    assert {name: len(split.x) for name, split in data.splits.items()} == {
        "train": 100,
        "validation": 5000,
        "test": 10000,
    }
    assert MNIST().spec == Spec((1, 28, 28), 10, "unit")
    assert data.real("test", 10_000).mean().item() == pytest.approx(0.1325, abs=1e-4)  # known mean of the set


def copy_packed(root):
    """Copies the real Fashion-MNIST files, still packed as downloaded, below `root`; returns their folder."""
    target = root / "FashionMNIST" / "raw"
    target.mkdir(parents=True)
    for path in (data_root() / "FashionMNIST" / "raw").glob("*.gz"):
        shutil.copy(path, target)
    return target


@pytest.mark.real_data
def test_jobs_that_start_together_all_unpack_without_errors(tmp_path):
    copy_packed(tmp_path)
    script = f"from genlab.data.mnist import FashionMNIST; FashionMNIST(root={str(tmp_path)!r})"
    jobs = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(job.communicate()[1], job.returncode) for job in jobs] == [("", 0)] * 4


@pytest.mark.real_data
def test_a_flipped_bit_in_a_data_file_is_detected(tmp_path):
    target = copy_packed(tmp_path)
    for path in target.glob("*.gz"):
        (target / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    FashionMNIST(root=str(tmp_path))
    damaged = target / "train-images-idx3-ubyte"
    content = bytearray(damaged.read_bytes())
    content[1000] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        FashionMNIST(root=str(tmp_path))
