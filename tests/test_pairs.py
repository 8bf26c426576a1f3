"""Two domains from one data set or from two: disjoint, unpaired, and with an exact true map."""

import math

import pytest
import torch
from conftest import moons, noise

from genlab.config import build
from genlab.config.compose import compose
from genlab.data.base import Dataset, Split
from genlab.data.fields import numeric
from genlab.data.gaussian2d import Gaussian2D
from genlab.data.pairs import ANGLE, SHIFT, Pairs
from genlab.errors import UserError
from genlab.models.base import Translator


def test_no_sample_is_in_both_domains():
    whole = Gaussian2D("moons", n=101)
    pairs = Pairs(whole)
    for name in ("train", "validation", "test"):
        a, b = pairs.a.splits[name].x, pairs.b.splits[name].x
        assert torch.equal(torch.cat([a, b]), whole.splits[name].x)  # disjoint, and nothing is lost
    assert len(pairs) == 51  # the longer half
    assert len(whole) == 101  # the given data set keeps all samples


def test_the_true_map_of_points_is_a_rotation_and_a_shift():
    pairs = moons()
    x = torch.randn(50, 2, dtype=torch.float64)
    turned = torch.view_as_complex(x) * complex(math.cos(ANGLE), math.sin(ANGLE)) + complex(*SHIFT)
    torch.testing.assert_close(pairs.transform(x), torch.view_as_real(turned), rtol=0, atol=1e-14)  # float64


@pytest.mark.parametrize("range", ["symmetric", "unit"])
def test_the_true_map_of_images_inverts_and_thickens(range):
    pairs = Pairs(noise(range=range))
    low = pairs.batch("train", torch.arange(3))["a"].min()
    x = torch.full((1, 1, 5, 5), -1.0 if range == "symmetric" else 0.0)
    assert low >= x.min()
    x[0, 0, 0, 2] = x[0, 0, 3, 3] = 1.0
    ink = (pairs.spec.decode(pairs.transform(x))[0, 0] == 0).int()  # black on white now
    expected = [[0, 1, 1, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 1, 1, 1], [0, 0, 0, 1, 0]]
    assert ink.tolist() == expected


def test_domain_b_is_the_transform_of_the_second_half():
    pairs = moons(20)
    batch = pairs.batch("train", torch.tensor([0, 7, 9]))
    assert torch.equal(batch["b"], pairs.transform(pairs.b.splits["train"].x[[0, 7, 9]]))
    assert torch.equal(batch["x"], batch["a"])
    assert torch.equal(batch["y_b"], Gaussian2D("moons", n=20).splits["train"].y[[10, 17, 19]])  # pyright: ignore[reportOptionalSubscript]


def test_the_target_domain_of_a_table_is_in_the_tables_units():
    columns = (numeric("wide", 50_000.0, 1000.0), numeric("narrow", 0.0, 0.001))
    x, y = torch.randn(40, 2), torch.tensor([0] * 30 + [1] * 10)
    splits = {name: Split(x, y) for name in ("train", "validation", "test")}
    pairs = Pairs(Dataset("t", splits, columns, 2, ("a", "b"), "abc"))
    target = pairs.target()
    assert target.spec == pairs.spec
    torch.testing.assert_close(target.real("test", 20), pairs.decode(pairs.head("test", 20)["b"]))
    assert (pairs.spec.counts, target.spec.counts) == ((20, 0), (30, 10))  # of the samples trained on, and of the data
    assert target.fingerprint


def test_a_second_data_set_becomes_domain_b_without_a_true_map():
    first, second = noise(20, seed=0), noise(50, seed=1)
    pairs = Pairs(first, second)
    assert len(pairs) == 50
    batch = pairs.batch("train", torch.tensor([3, 43]))
    assert torch.equal(batch["a"][0], batch["a"][1])  # the shorter side is repeated
    assert torch.equal(batch["b"], second.batch("train", torch.tensor([3, 43]))["x"])
    with pytest.raises(UserError, match="no true map"):
        pairs.transform(batch["a"])
    with pytest.raises(UserError, match=r"data\.other"):
        Pairs(first, noise(side=32))
    with pytest.raises(UserError, match="at least 2"):
        moons(1)


@pytest.fixture
def config():
    return lambda *overrides: compose("train", overrides)


def test_data_are_paired_only_for_models_of_two_domains(config):
    pairs = build.data(config("model=cyclegan", "name=x"))
    assert isinstance(pairs, Pairs)
    assert isinstance(build.family(config("model=cyclegan", "name=x"), pairs.spec), Translator)
    assert not isinstance(build.data(config("model=gan", "name=x")), Pairs)
    with pytest.raises(UserError, match="only models of two domains"):
        build.data(config("model=gan", "name=x", "data.other=gaussian2d"))
    with pytest.raises(UserError, match="did you mean 'gaussian2d'"):
        build.data(config("model=cyclegan", "name=x", "data.other=gaussian"))


@pytest.mark.real_data
def test_the_second_data_set_gets_the_size_of_the_first(config):
    pairs = build.data(config("model=cyclegan", "data=mnist", "name=x", "data.other=fashionmnist", "data.size=32"))
    assert isinstance(pairs, Pairs)
    assert pairs.b.spec == pairs.a.spec
    assert pairs.b.spec.shape == (1, 32, 32)
    assert not pairs.known
