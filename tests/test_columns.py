"""Columns of typed tables: values come back, samples keep to what a column allows, states are read again."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from genlab.data.columns import kinds
from genlab.data.columns.base import Column
from genlab.data.columns.category import POOL, Category
from genlab.data.columns.fixed import Constant, Identifier
from genlab.data.columns.moment import Date, DateTime
from genlab.data.columns.numeric import Integer, Real
from genlab.data.columns.ordered import Ordered
from genlab.data.columns.quantiles import Quantiles
from genlab.data.columns.schema import Schema
from genlab.errors import OptionError

ROUNDS = settings(max_examples=60, deadline=None)
GENERATOR = torch.Generator().manual_seed(0)


def noise(n: int) -> torch.Tensor:
    return torch.rand(n, 2, dtype=torch.float64, generator=GENERATOR)


def round_trip(column: Column, values: np.ndarray) -> None:
    """Encodes and decodes values with and without noise, through a state; a model sees finite numbers."""
    units = column.units(values)
    column = kinds.of(column.state())
    for spread in (None, noise(len(values))):
        x = column.encode(units, spread)
        assert x.dtype == torch.float32
        assert x.isfinite().all()
        again = column.values(column.decode(x)).numpy()
        np.testing.assert_array_equal(again, values)
        assert column.text(column.decode(x), GENERATOR) == column.text(units, GENERATOR)


def numbers(values: np.ndarray, encoding: str = "quantile", kind: Any = Integer, **options) -> Any:
    known = values[~np.isnan(values)]
    missing = "" if len(known) < len(values) else None
    return kind("a", **kind.arguments(known, encoding), missing=missing, **options)


@ROUNDS
@given(
    st.lists(st.integers(-100_000, 100_000) | st.none(), min_size=1, max_size=200).filter(
        lambda v: v.count(None) < len(v)
    ),
    st.sampled_from(["quantile", "standard"]),
)
def test_integers_come_back_exactly(cells, encoding):
    values = np.array([np.nan if cell is None else cell for cell in cells])
    column = numbers(values, encoding, decimals=0)
    round_trip(column, values)
    x = column.encode(column.units(values))
    wild = column.decode(x + 3 * torch.randn(x.shape, generator=GENERATOR))[:, 0]
    assert (wild == wild.round()).all()
    assert np.nanmin(values) <= wild.min() <= wild.max() <= np.nanmax(values)


@ROUNDS
@given(st.lists(st.integers(-10_000, 10_000), min_size=2, max_size=200), st.integers(1, 4))
def test_decimals_come_back_exactly_and_stay(cents, decimals):
    values = np.round(np.array(cents) / 10**decimals, decimals)
    column = numbers(values, kind=Real, decimals=decimals, fixed=True, point=",")
    round_trip(column, values)
    text = column.text(column.units(values[:1]), GENERATOR)[0]
    assert text == f"{values[0]:.{decimals}f}".replace(".", ",")


@ROUNDS
@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=2, max_size=100))
def test_reals_come_back_to_single_precision(cells):
    values = np.array(cells)
    column = numbers(values, kind=Real)
    again = column.values(column.decode(column.encode(column.units(values), noise(len(values)))))
    np.testing.assert_allclose(again.numpy(), values, atol=1e-5 * max(np.ptp(values), 1e-9))


@ROUNDS
@given(st.lists(st.sampled_from(["a", "b", "ü c", "1,5", ""]), min_size=1, max_size=80), st.integers(0, 4))
def test_words_come_back_and_rare_ones_as_rare_ones(cells, rare):
    words, places, counts = np.unique(cells, return_inverse=True, return_counts=True)
    column = Category.fit("a", words.tolist(), counts, rare, 3, missing="")
    index = column.index(words.tolist())
    assert (index >= 0).all()
    round_trip_words = column.text(column.decode(column.encode(column.units(index[places]))), GENERATOR)
    for cell, again in zip(cells, round_trip_words, strict=True):
        assert cell == again or {cell, again} <= set(column.rare)
    assert kinds.of(column.state()) == column


def test_pooled_words_are_drawn_in_their_shares():
    column = Category.fit("a", ["x", "y", "z", "new"], np.array([90, 1, 3, 0]), 5, 100)
    assert column.labels == ("x", POOL)
    units = column.units(np.ones(4000, dtype=int))
    texts = column.text(units, torch.Generator().manual_seed(0))
    assert set(texts) == {"y", "z"}
    assert texts.count("z") / 4000 == pytest.approx(0.75, abs=0.03)
    alone = Category.fit("a", ["x", "y", "new"], np.array([90, 10, 0]), 5, 100)
    assert alone.labels == ("x", "y")
    assert alone.index(["new"]).tolist() == [-1]


@ROUNDS
@given(st.lists(st.integers(-20_000, 40_000), min_size=2, max_size=100))
def test_dates_and_times_come_back(days):
    values = np.array(days, dtype=float)
    date = numbers(values, kind=Date, decimals=0, pattern="%d.%m.%Y", unit="D")
    round_trip(date, values)
    assert date.text(date.units(np.array([0.0])), GENERATOR) == [date.cells(np.array([0.0]))[0]]
    assert date.cells(np.array([1.0])) == ["02.01.1970"]
    moment = numbers(values, kind=DateTime, decimals=0, pattern="%Y-%m-%dT%H:%M:%S", unit="s")
    round_trip(moment, values)
    assert moment.cells(np.array([3661.0])) == ["1970-01-01T01:01:01"]


def test_modes_are_a_category_and_a_place_within_it():
    pytest.importorskip("sklearn")
    g = np.random.default_rng(0)
    values = np.where(g.random(1000) < 0.3, g.normal(-50, 2, 1000), g.normal(80, 5, 1000)).round()
    values[:20] = np.nan
    column = numbers(values, "modes", decimals=0)
    words = column.width - 3  # beside the place within the mode, and the flags of missing cells
    assert 2 <= words <= 10
    units = column.units(values)
    x = column.encode(units, noise(1000))
    assert kinds.of(column.state()) == column
    again = column.values(column.decode(x)).numpy()
    np.testing.assert_array_equal(again, values)
    mode = x[:, 1 : 1 + words].argmax(1)[20:]
    means = torch.tensor(column.code.lists[1])[mode].numpy()
    assert ((means < 0) == (values[20:] < 0)).all()
    assert x[20:, 0].abs().max() < 2
    assert 0.1 < x[20:, 0].std() < 0.3  # a place counts four deviations as one, and modes may overlap


def test_ordered_words_are_one_channel():
    values = np.array([0.0, 1, 2, 1, np.nan])
    column = numbers(values, kind=Ordered, decimals=0, words=["S", "M", "L"])
    round_trip(column, values)
    assert column.width == 3  # the rank, present, missing
    assert column.text(column.units(values), GENERATOR) == ["S", "M", "L", "M", ""]


def test_constants_and_identifiers_have_no_channel():
    for column in (Constant("a", "x"), Identifier("n", 7)):
        assert column.width == 0
        assert kinds.of(column.state()) == column
    units = torch.zeros(3, 0)
    assert Constant("a", "x").text(units, GENERATOR) == ["x"] * 3
    assert Identifier("n", 7).text(units, GENERATOR) == ["7", "8", "9"]


def test_normal_scores_of_any_column_are_normal():
    """With ties spread over their intervals, the scores have the normal distribution exactly: KS is that of chance."""
    g = np.random.default_rng(0)
    n = 5000
    columns = {
        "zeros": np.where(g.random(n) < 0.9, 0, g.exponential(1000, n)),
        "capped": np.minimum(g.normal(50, 20, n), 60),
        "few": g.integers(0, 3, n).astype(float),
        "heavy": g.standard_cauchy(n),
    }
    for values in columns.values():
        column = numbers(values, kind=Real)
        z = column.encode(column.units(values), torch.rand(n, 2, dtype=torch.float64, generator=GENERATOR))[:, 0]
        assert stats.kstest(z.numpy(), "norm").statistic < 0.025
        drawn = column.values(column.decode(torch.randn(20_000, 1, generator=GENERATOR))).numpy()
        for atom in (0, 60):
            assert (drawn == atom).mean() == pytest.approx((values == atom).mean(), abs=0.015)
        assert values.min() <= drawn.min() <= drawn.max() <= values.max()


def test_missing_numbers_say_nothing_in_their_value_channel():
    values = np.where(np.arange(2000) % 2, np.nan, np.arange(2000.0))
    column = numbers(values, decimals=0)
    x = column.encode(column.units(values), noise(2000))
    hidden = x[torch.from_numpy(np.isnan(values)), 0]
    assert stats.kstest(hidden.numpy(), "norm").pvalue > 0.01
    assert column.scores(column.units(values))[1].tolist() == [0, 0, 1]


def test_quantiles_are_bounded_in_size_and_monotone():
    q = Quantiles.fit(np.random.default_rng(0).integers(0, 1_000_000, 200_000).astype(float))
    assert len(q.knots) < 3000
    assert (q.edges.diff() >= 0).all()
    assert (q.knots.diff() > 0).all()
    u = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    assert (q.at(u).diff() >= 0).all()


def test_a_schema_packs_rows_and_goes_through_a_state():
    values = np.array([0.0, 1, 2, 1, np.nan])
    schema = Schema(
        [Identifier("n"), numbers(values, decimals=0), Category("w", ["a", "b"]), Constant("c", "x")],
        ".tsv",
        "\t",
        label="w",
    )
    x = torch.cat([schema.columns[1].encode(schema.columns[1].units(values)), torch.eye(2)[[0, 1, 0, 1, 1]]], dim=1)
    assert torch.equal(schema.expand(schema.pack(x)), x)
    assert schema.pack(x).shape == (5, 3)
    assert Schema.of(schema.state()) == schema
    assert schema.width == 5
    assert schema.values(schema.decode(x))[:, 2].tolist() == [0, 1, 0, 1, 1]
    with pytest.raises(KeyError):
        Schema.of({**schema.state(), "columns": [{"kind": "colour"}]})


def constrained(*texts: str) -> Schema:
    grid = np.arange(100.0)
    names = ("a", "b", "total", "unit price")
    columns = [Integer(name, **Integer.arguments(grid), decimals=0) for name in names]
    return Schema([*columns, Category("w", ["x", "y"])], constraints=texts)


def test_constraints_are_checked_and_columns_derived():
    schema = constrained("a < b", "total == a + 2 * b", "`unit price` / 2 >= -1")
    assert Schema.of(schema.state()) == schema
    units = torch.tensor([[1.0, 2, 0, 5, 1, 0], [3.0, 2, 0, 5, 0, 1], [4.0, 9, 22, 5, 1, 0]], dtype=torch.float64)
    derived, good = schema.fulfil(units)
    assert derived[:, 2].tolist() == [5, 7, 22]
    assert good.tolist() == [True, False, True]
    assert torch.equal(derived[:, [0, 1, 3, 4, 5]], units[:, [0, 1, 3, 4, 5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a <", "cannot be read"),
        ("a + b", "is not one comparison"),
        ("a < b < total", "is not one comparison"),
        ("c < b", "'c' is not a column"),
        ("w == 1", "'w' has no numbers"),
        ("a < __import__('os').system('x')", "is not a column|may only have"),
        ("a.b < 1", "may only have"),
        ("a ** 9 < 1", r"may only have \+ - \* /"),
        ("a < 'x'", "is not a number"),
    ],
)
def test_wrong_constraints_are_refused(text, message):
    with pytest.raises(OptionError, match=message):
        constrained(text).fulfil(torch.ones(1, 6, dtype=torch.float64))
