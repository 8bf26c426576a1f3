"""Autoregressive models of images, series, graphs and points: exact, causal, normalised, continued from a beginning."""

import itertools
import math

import pytest
import torch
from conftest import noise, waves

from genlab.data.base import Spec
from genlab.data.fields import Field, Range
from genlab.errors import UserError
from genlab.evaluation.evaluate import Plan, evaluate
from genlab.evaluation.forecasts import forecasts
from genlab.evaluation.report import Report
from genlab.models.autoregressive import Autoregressive
from genlab.models.blocks import Blocks
from genlab.models.causal import CausalAutoregressive

WORDS = (Field("c", "category", 3), Field("r"))
GRAPH = (
    Field("present", "present", part="node"),
    Field("a", "category", 3, part="node"),
    Field("e", "category", 2, part="edge"),
    Field("w", part="edge"),
)
SPECS = {
    "points": Spec((2,)),
    "series": Spec((3, 6)),
    "words": Spec((4, 5), fields=WORDS),
    "binary": Spec((1, 4, 5), fields="binary"),
    "colours": Spec((3, 4, 3), fields="symmetric"),
    "graph": Spec((), fields=GRAPH, nodes=5),
}


def made(spec: Spec, **options) -> CausalAutoregressive:
    """A small model with random weights in all layers."""
    torch.manual_seed(0)
    small = {"hidden": 24, "blocks": 1, "width": 16, "heads": 2, "layers": 2, "dropout": 0.0, "mixtures": 3}
    model = Autoregressive(spec, **{**small, **options})
    assert isinstance(model, CausalAutoregressive)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    if model.given:
        here = (torch.arange(5) < torch.randint(2, 6, (64, 1))).float()
        model.given.remember(torch.cat([here, torch.zeros(64, spec.shape[0] - 5)], dim=1))
    return model.eval()


def drawn(model: CausalAutoregressive, n: int = 6) -> torch.Tensor:
    torch.manual_seed(1)
    return model.sample(n)


@pytest.mark.parametrize("name", SPECS)
def test_blocks_hold_all_numbers_of_a_sample(name):
    model = made(SPECS[name])
    x = drawn(model)
    own = model.given.split(x)[0] if model.given else x
    assert torch.equal(model.cut.back(model.cut.of(own)), own)
    assert x.shape == (6, *SPECS[name].shape)
    assert torch.isfinite(model.log_prob(x)).all()


@pytest.mark.parametrize("name", [name for name in SPECS if name != "graph"])
def test_a_slot_depends_on_those_before_it_and_on_no_other(name):
    model = made(SPECS[name])
    blocks = model.cut.of(drawn(model))
    raw = model.net(blocks)
    ends = torch.tensor(model.outputs).cumsum(0).tolist()
    slots = [(s, place, number) for s in range(blocks.shape[1]) for place, number, _ in model.cut.places(s)]
    for s, place, number in slots:
        changed = blocks.clone()
        changed[:, s, number] += 1.0
        same = torch.isclose(model.net(changed), raw, atol=1e-5).flatten(1).all(0)
        until = s * ends[-1] + ends[place]
        assert same[:until].all()
        if until < len(same):
            assert not same[until:].all()


@pytest.mark.parametrize("spec", [Spec((1, 2, 2), fields="binary"), Spec((2,), fields=(Field("c", "category", 2),))])
def test_probabilities_of_all_samples_add_up_to_one(spec):
    model = made(spec)
    if spec.layout == "image":
        x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).view(-1, 1, 2, 2)
    else:
        x = torch.eye(2)
    assert model.log_prob(x).exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("range_", ["symmetric", "unit"])
def test_pixels_of_256_values_have_probabilities(range_: Range):
    model = made(Spec((1, 1, 1), fields=range_))
    values = torch.arange(256.0) / 255
    x = values if range_ == "unit" else 2 * values - 1
    x = x.view(-1, 1, 1, 1)
    assert model.log_prob(x).exp().sum().item() == pytest.approx(1, abs=1e-4)
    assert torch.allclose(model.bits_per_dim(x), -model.log_prob(x) / math.log(2))
    sample = model.sample(50)
    assert torch.isclose(sample.view(-1, 1), x.view(1, -1), atol=1e-5).any(1).all()


def test_densities_of_points_integrate_to_one():
    model = made(Spec((2,)))
    axis = torch.linspace(-12, 12, 481)
    with torch.no_grad():
        density = model.log_prob(torch.cartesian_prod(axis, axis)).exp()
    assert (density.sum() * 0.05**2).item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", ["series", "binary", "graph"])
def test_sampling_with_a_cache_draws_from_the_likelihood(name):
    """What the net says of the next block from its cache is what it says when it sees whole samples."""
    model = made(SPECS[name])
    x = drawn(model, 400)
    blocks = model.cut.of(model.given.split(x)[0] if model.given else x)
    given = model.given.split(x)[1] if model.given else None
    whole, told, cache = model.net(blocks, given), model.net.told(given, None), []
    for s in range(blocks.shape[1]):
        context = model.net.context(s, blocks[:, s - 1] if s else None, len(x), told, cache)
        assert torch.allclose(model.net.within(blocks[:, s], context), whole[:, s], atol=1e-4)


def test_absent_nodes_are_empty_and_cost_nothing():
    model = made(SPECS["graph"])
    x = drawn(model, 50)
    here = SPECS["graph"].presence(x)
    assert here is not None
    assert torch.equal(x * here, x)
    assert (here == 0).any()
    other = x + 3.0 * (1 - here)
    other[:, :5] = x[:, :5]  # which nodes are there stays
    assert torch.allclose(model.log_prob(x), model.log_prob(other), atol=1e-4)


def test_the_beginning_can_be_given_and_nothing_else():
    model = made(SPECS["series"])
    x = drawn(model)
    known = torch.arange(6) < 4
    completed = model.complete(x, known.expand_as(x))
    assert torch.equal(completed[..., :4], x[..., :4])
    assert not torch.equal(completed[..., 4:], x[..., 4:])
    with pytest.raises(UserError, match="the beginning of a sample"):
        model.complete(x, (torch.arange(6) > 3).expand_as(x))
    found, _ = forecasts(made(waves().spec), waves(), "test", 3)
    assert {"forecast_mae", "forecast_crps"} <= set(found)
    assert "imputation_mae" not in found


def test_classes_are_seen_and_averaged_over():
    model = made(Spec((1, 3, 3), 2, fields="binary", counts=(30, 10)), conditional=True)
    x = drawn(model)
    each = torch.stack([model.nats(x, torch.full((6,), k)) for k in range(2)])
    assert not torch.allclose(each[0], each[1])
    shares = torch.tensor([0.75, 0.25]).log()[:, None]
    assert torch.allclose(model.log_prob(x), (each + shares).logsumexp(0), atol=1e-5)


def test_a_mixture_learns_a_law_of_one_step():
    """x_2 = x_1² + noise is learnt within a few hundred steps, where a Gaussian of x_2 alone has 1.7 nats more."""
    torch.manual_seed(0)
    model = Autoregressive(Spec((2,)), hidden=32, blocks=1, width=8, heads=1, mixtures=4, dropout=0.0)
    assert isinstance(model, CausalAutoregressive)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)

    def batch(n: int) -> torch.Tensor:
        first = torch.randn(n, 1)
        return torch.cat([first, first.square() + 0.1 * torch.randn(n, 1)], dim=1)

    for _ in range(300):
        optimizer.zero_grad()
        model.loss({"x": batch(256)}).loss.backward()
        optimizer.step()
    true = 0.5 * math.log(2 * math.pi * math.e) * 2 + math.log(0.1)
    assert -model.eval().log_prob(batch(4000)).mean().item() == pytest.approx(true, abs=0.25)


def test_images_with_words_are_cut_place_after_place():
    spec = Spec((4, 2, 3), fields=(Field("c", "category", 3), Field("r")))
    cut = Blocks(spec, 2)
    x = torch.randn(5, 4, 2, 3)
    assert torch.equal(cut.back(cut.of(x)), x)
    assert torch.equal(cut.of(x)[:, 1, 3:6], x[:, :3, 1, 1])
    with pytest.raises(UserError, match="heads"):
        Autoregressive(spec, width=10, heads=4)


def test_binary_images_are_judged_in_nats_and_others_in_bits():
    cases: list[tuple[Range, str, str]] = [("binary", "nll", "bits_per_dim"), ("symmetric", "bits_per_dim", "nll")]
    for range_, name, other in cases:
        data = noise(side=8, range=range_)
        report = Report(source="test", data=data.name)
        evaluate(made(data.spec), data, Plan(samples=4, likelihood=8), None, report)
        assert name in report.measures
        assert other not in report.measures
        bits = report.measures[name].value / (64 * math.log(2) if name == "nll" else 1)
        assert 0.5 < bits < 12
