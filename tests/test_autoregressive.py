"""The autoregressive family: probabilities sum to one, its loss is the mean over orders, given cells are kept."""

import itertools
import math

import numpy as np
import pytest
import torch
from conftest import rows, trainer

from genlab.data.columns.category import Category
from genlab.data.columns.numeric import Real
from genlab.data.columns.schema import Schema
from genlab.data.spec import Spec
from genlab.data.table import Table
from genlab.errors import OptionError
from genlab.models.any_order import TableAutoregressive
from genlab.models.autoregressive import Autoregressive

WORDS = Schema([Category("a", ["x", "y", "z"]), Category("b", ["u", "v"])])


def model(schema: Schema, **options) -> TableAutoregressive:
    """A net that is not uniform, without dropout."""
    torch.manual_seed(0)
    made = Autoregressive(Spec((schema.width,), table=schema), hidden=16, blocks=1, dropout=0.0, **options)
    assert isinstance(made, TableAutoregressive)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.5 * torch.randn_like(p))
    return made.eval()


def every_row() -> torch.Tensor:
    return torch.tensor([[*a, *b] for a in np.eye(3) for b in np.eye(2)], dtype=torch.float32)


def test_probabilities_of_all_rows_sum_to_one_and_samples_follow_them():
    made = model(WORDS, order="table")
    log_p = made.log_prob(every_row())
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-5)
    tokens = made.tokens.of(made.sample(20_000))
    shares = torch.bincount(2 * tokens[:, 0] + tokens[:, 1], minlength=6) / 20_000
    torch.testing.assert_close(shares, log_p.exp(), atol=0.015, rtol=0)


def test_densities_of_numbers_integrate_to_one():
    values = np.concatenate([np.zeros(300), np.random.default_rng(0).exponential(10, 700).round(2)])
    column = Real("v", **Real.arguments(values))
    made = model(Schema([column, Category("b", ["u", "v"])]), bins=10)
    assert made.tokens.sizes[0] == 8  # one bin of the zeros, who are three rows in ten, and seven of the others
    z = torch.linspace(-5.2, 5.2, 20_001)
    total = 0.0
    for word in torch.eye(2):
        x = torch.cat([z[:, None], word.expand(len(z), 2)], dim=1)
        total += torch.trapezoid(made.log_prob(x).exp().double(), z.double()).item()
    assert total == pytest.approx(1, abs=2e-3)
    x = made.sample(4000)
    same = made.tokens.of(x) == made.tokens.of(column_round_trip(column, x))
    assert same.float().mean() > 0.99  # but for numbers at the very edge of a bin


def column_round_trip(column: Real, x: torch.Tensor) -> torch.Tensor:
    """Rows whose number is decoded and encoded again: it stays in its bin."""
    again = column.encode(column.decode(x[:, :1]))
    return torch.cat([again, x[:, 1:]], dim=1)


def test_the_loss_is_the_mean_over_all_orders_of_the_code_length():
    made = model(WORDS)
    x, tokens = torch.tensor([[0.0, 0, 1, 0, 1]]), torch.tensor([[2, 1]])
    known = torch.zeros(1, 2, dtype=torch.bool)
    bounds = [made.bound(x, tokens, known)]  # i = 1; then each column may be the known one
    bounds += [made.bound(x, tokens, known.index_fill(1, torch.tensor([k]), True)) for k in (0, 1)]
    expected = 0.5 * bounds[0] + 0.25 * (bounds[1] + bounds[2])
    lengths = []
    for order in itertools.permutations((0, 1)):
        seen, total = known.clone(), 0.0
        for k in order:
            logits = made.net.logits(k, made.net.features(tokens, seen))
            total -= logits.log_softmax(1)[0, tokens[0, k]].item()
            seen[0, k] = True
        lengths.append(total)
    assert expected.item() == pytest.approx(np.mean(lengths), rel=1e-5)
    assert lengths[0] == pytest.approx(-made.log_prob(x).item(), rel=1e-5)


def test_given_cells_are_kept_and_the_rest_follows_from_them():
    made = model(WORDS)
    x = torch.tensor([[0.0, 0, 1, 1, 0]]).expand(5000, -1)
    known = torch.tensor([[False] * 3 + [True] * 2]).expand(5000, -1)
    completed = made.complete(x, known)
    assert torch.equal(completed[:, 3:], x[:, 3:])
    seen = torch.tensor([[False, True]])
    shares = made.net.logits(0, made.net.features(torch.tensor([[0, 0]]), seen)).softmax(1)[0]
    torch.testing.assert_close(completed[:, :3].mean(0), shares, atol=0.02, rtol=0)
    assert torch.equal(made.complete(x, torch.ones_like(known)), x)


def test_a_low_temperature_draws_the_likeliest_row():
    made = model(WORDS, temperature=1e-3, order="table")
    assert len(made.sample(100).unique(dim=0)) == 1


def test_it_learns_how_columns_depend_on_one_another():
    data = Table(rows(1000), label="colour", rare=1)
    t = trainer("autoregressive", data, steps=600, batch_size=64, ema=0.99)
    t.fit()
    assert t.ema is not None
    torch.manual_seed(0)
    schema = data.spec.table
    assert schema is not None
    with torch.no_grad():
        values = schema.values(data.decode(t.ema.model.eval().sample(2000)))  # type: ignore[operator]
    names = [column.name for column in schema.columns]
    colour, size = values[:, names.index("colour")], values[:, names.index("size")]
    for k in range(3):  # blue, green, red by their order; 10 for each step from red to blue
        mean = size[(colour == k) & ~size.isnan()].mean().item()
        assert mean == pytest.approx({0: 20, 1: 10, 2: 0}[k], abs=4)  # 10 if the two were independent
    assert size.isnan().float().mean().item() == pytest.approx(0.11, abs=0.04)


def test_other_data_and_wrong_options_are_refused():
    with pytest.raises(OptionError, match="conditional: of a table the class is a column"):
        model(WORDS, conditional=True)
    with pytest.raises(OptionError, match="temperature"):
        model(WORDS, temperature=0.0)
    assert math.isfinite(model(WORDS, bins=2).log_prob(every_row()).sum().item())
