"""Fields say what numbers mean: heads against closed forms, and every family on toy data of mixed fields."""

import math

import numpy as np
import pytest
import torch
from closed_forms import Exact
from conftest import MODELS, ONLY, config, trainer, with_few_steps
from torch import Tensor

from genlab.commands.sample import write_table
from genlab.config import build
from genlab.data.base import Dataset, Split
from genlab.data.fields import Field, Group, grouped, numeric
from genlab.data.pairs import Pairs
from genlab.data.spec import Spec
from genlab.errors import OptionError
from genlab.evaluation.evaluate import Plan, evaluate
from genlab.evaluation.judges.points import PointJudge
from genlab.evaluation.report import Report
from genlab.models.base import Sampler, Translator
from genlab.models.ddpm import DDPM
from genlab.models.head import CATEGORY, Head
from genlab.models.latent_diffusion import LatentDiffusion
from genlab.models.likelihood_head import LikelihoodHead
from genlab.models.line_head import LineHead, normal_log_prob
from genlab.models.vae import VAE
from genlab.runs.folder import Run

K = 5
FIELDS = (Field("colour", "category", K, labels=("red", "green", "blue", "black", "white")), numeric("size", 10.0, 2.0))
MIXED = Spec((K + 1,), fields=FIELDS)
SHARES = torch.arange(1.0, K + 1) / 15


def toy(n: int = 2000) -> Dataset:
    """Returns one category of five, in shares 1:2:3:4:5, and one real that depends on it."""
    g = torch.Generator().manual_seed(0)

    def split(size: int) -> Split:
        k = torch.multinomial(SHARES, size, replacement=True, generator=g)
        real = 0.5 * (k - 2.0) + 0.2 * torch.randn(size, generator=g)
        return Split(torch.cat([torch.eye(K)[k], real[:, None]], dim=1))

    return Dataset("toy", {"train": split(n), "validation": split(500), "test": split(500)}, FIELDS)


def categories(n: int = 4) -> Tensor:
    """Returns every category once with a real, n times: (n K, K + 1)."""
    return torch.cat([torch.eye(K), torch.linspace(-1, 1, K)[:, None]], dim=1).repeat(n, 1)


def test_adjacent_fields_of_one_kind_are_one_group():
    fields = (*FIELDS, numeric("weight", 0.0, 1.0), Field("", "pixel", 3, "unit"), *FIELDS)
    assert list(grouped(fields)) == [
        Group("category", "real", 0, 5),
        Group("real", "real", 5, 7),
        Group("pixel", "unit", 7, 10),
        Group("category", "real", 10, 15),
        Group("real", "real", 15, 16),
    ]


def test_a_spec_survives_a_checkpoint():
    for spec in (MIXED, Spec((2,)), Spec((1, 28, 28), 10, "binary"), Spec((1,), 2, FIELDS[1:], ("a", "b"))):
        assert Spec.of(spec.state()) == spec
    assert Spec.of([[2], 3, "real"]) == Spec((2,), 3)  # the form in older checkpoints
    assert Spec((K + 1,)) != MIXED
    assert MIXED.counted((3,)) == MIXED
    damaged = MIXED.state()
    damaged["fields"][0][1] = "colour"
    with pytest.raises(ValueError, match="kind colour"):
        Spec.of(damaged)
    with pytest.raises(ValueError, match="6 channels for samples of shape"):
        Spec((7,), fields=FIELDS)


def test_mixed_samples_are_decoded_into_their_own_units():
    raw = torch.tensor([[0.1, 0.7, 0.05, 0.05, 0.1, 1.5]])
    units = MIXED.decode(raw)
    assert units.tolist() == [[0, 1, 0, 0, 0, 13.0]]
    torch.testing.assert_close(MIXED.standardise(units), torch.tensor([[0.0, 1, 0, 0, 0, 1.5]]))
    assert torch.equal(MIXED.encode(units), units)
    assert MIXED.log_scale == pytest.approx(math.log(2.0))
    assert MIXED.values == "category and real"


def test_likelihoods_of_categories_sum_to_one():
    head, raw = LikelihoodHead(MIXED, sigma=0.5), torch.randn(1, K + 1).expand(K, -1)
    x = categories(1)
    x[:, K] = 0.3
    real = torch.distributions.Normal(raw[0, K], 0.5).log_prob(torch.tensor(0.3))
    assert (head.log_prob(raw, x).logsumexp(0) - real).item() == pytest.approx(0, abs=1e-5)
    total = Head(MIXED).log_interval(x, raw, torch.tensor(0.5))
    assert (total.logsumexp(0) - real).item() == pytest.approx(0, abs=1e-5)
    with pytest.raises(OptionError, match=r"bernoulli needs data\.range unit or binary, not category and real"):
        LikelihoodHead(MIXED, "bernoulli")


def test_sampled_categories_have_their_probabilities():
    torch.manual_seed(0)
    mean = torch.cat([SHARES, torch.tensor([1.0])]).expand(20_000, -1)
    x = LikelihoodHead(MIXED, sigma=0.5).sample(mean)
    torch.testing.assert_close(x[:, :K].mean(0), SHARES, atol=0.02, rtol=0)
    assert x[:, K].std().item() == pytest.approx(0.5, rel=0.05)


def test_dequantized_categories_have_the_density_that_is_reported():
    """v | k is N(0, I) given that its largest entry is at k, so a flow that is N(0, I) gives each k exactly 1/K."""
    torch.manual_seed(0)
    head, x = LineHead(MIXED, alpha=0.05), categories(2000)
    v, log_q = head.dequantize(x, torch.randn_like(x))
    assert torch.equal(head.quantize(v), x)
    torch.testing.assert_close(normal_log_prob(v[:, :K]) - log_q, torch.full_like(log_q, -math.log(K)))
    torch.testing.assert_close(v[:, :K].mean(0), torch.zeros(K), atol=0.03, rtol=0)
    torch.testing.assert_close(v[:, :K].var(0), torch.ones(K), atol=0.05, rtol=0)
    assert torch.equal(head.to_line(v)[0], v)


def test_the_scale_of_a_denoiser_applies_only_to_reals():
    head = Head(MIXED)
    assert head.scale(torch.tensor(3.0)).tolist() == [0.25, 0.25, 0.25, 0.25, 0.25, 3]
    assert head.size == 1
    assert Head(Spec((2,))).scale(torch.tensor(3.0)).shape == ()


@pytest.mark.parametrize("model", [m for m in MODELS if m not in ONLY])
def test_every_family_trains_on_mixed_fields(model):
    data = toy(200)
    domains = build.target_of(config(f"model={model}").model, "model").domains
    t = trainer(model, data if domains == 1 else Pairs(data), steps=4)
    t.fit()
    assert all(p.isfinite().all() for p in t.family.parameters())
    family = with_few_steps(t.family)
    with torch.no_grad():
        if isinstance(family, Sampler):
            x = data.decode(family.sample(20))
        elif isinstance(family, Translator):
            x = data.decode(family.translate(data.head("test", 20)["x"]))
        else:
            x = data.decode(family.reconstruct(data.head("test", 20)["x"]))  # type: ignore[attr-defined]
    assert x.shape == (20, K + 1)
    assert torch.equal(x[:, :K].sum(1), torch.ones(20, dtype=x.dtype))
    assert torch.equal(x[:, :K].amax(1), torch.ones(20, dtype=x.dtype))
    report = Report(source="here")
    evaluate(family, t.data, Plan(samples=50, likelihood=10, k=2), None, report)
    assert report.measures
    assert all(math.isfinite(row.value) for row in report.measures.values())
    if model in ("score", "flow_matching"):
        assert "have no density" in report.left_out["nll"]


@pytest.mark.parametrize("sampler", ["dpmpp", "heun"])
def test_a_real_beside_a_category_keeps_its_deviation(sampler):
    """Uses the best net for a category and an independent real of standard deviation 0.014."""
    torch.manual_seed(0)
    model = DDPM(MIXED, prediction="x0", sampler=sampler, sample_steps=50)

    def best(x: Tensor, t: Tensor) -> Tensor:
        step = (t[:, 0] * model.timesteps).round().long()
        alpha, sigma = model.alpha[step][:, None], model.sigma[step][:, None]
        share = (CATEGORY * x[:, :K] * alpha / sigma**2 + SHARES.log()).softmax(1)
        real = alpha * 0.014**2 / (alpha**2 * 0.014**2 + sigma**2) * x[:, K:]
        return torch.cat([CATEGORY * share, real], dim=1)

    model.net = Exact(best)
    x = model.sample(5000)
    assert x[:, K].std().item() == pytest.approx(0.014, rel=0.08)
    torch.testing.assert_close(x[:, :K].mean(0), SHARES, atol=0.03, rtol=0)
    assert torch.equal(x[:, :K].amax(1), torch.ones(5000))


def test_a_table_is_written_with_category_labels(tmp_path):
    t = trainer("vae", toy(50), folder=tmp_path / "run", steps=1)
    rows = np.array([[0.0, 1, 0, 0, 0, 12.34567891], [0, 0, 0, 0, 1, 9.0]])
    write_table(tmp_path / "samples.csv", {"samples": rows}, t.family, Run(tmp_path / "run"))
    assert (tmp_path / "samples.csv").read_text() == "colour,size\ngreen,12.345679\nwhite,9.0\n"


def test_a_column_is_judged_by_its_worst_category():
    data = toy(400)
    judge = PointJudge(data, "test", 400)
    wrong = data.real("train", 400).clone()
    wrong[:, :K] = wrong[:, :K].roll(2, dims=1)
    columns = judge.columns(wrong)
    assert list(columns) == ["colour", "size"]
    assert columns["colour"] == pytest.approx(judge(wrong)["ks_max"])


def test_the_target_of_mixed_pairs_is_domain_b_as_the_model_sees_it():
    fields = (Field("", "pixel", 2, "symmetric"), *FIELDS)
    x = torch.cat([torch.randint(256, (40, 2)).float(), toy(40).splits["train"].x], dim=1)
    data = Dataset("mixed", dict.fromkeys(("train", "validation", "test"), Split(x)), fields)
    pairs = Pairs(data)
    b = pairs.decode(pairs.head("test", 20)["b"])
    torch.testing.assert_close(pairs.target().real("test", 20), b, atol=1e-5, rtol=1e-5)
    assert torch.equal(x, data.splits["train"].x)  # encoding does not change the samples


def test_channels_of_an_image_have_their_own_units():
    spec = Spec((2, 8, 8), fields=(numeric("a", 10.0, 2.0), numeric("b", -3.0, 50.0)))
    x = torch.randn(4, 2, 8, 8)
    units = spec.decode(x)
    torch.testing.assert_close(units[:, 1], x[:, 1].double() * 50 - 3)
    torch.testing.assert_close(spec.from_units(units), x)
    assert spec.log_scale == pytest.approx(64 * math.log(100))
    partly = Spec((2,), fields=(numeric("a", 10.0, 2.0), Field()))
    assert partly.decode(torch.ones(1, 2)).tolist() == [[12.0, 1.0]]


def test_pixels_beside_reals_are_sampled_as_their_mean():
    spec = Spec((3,), fields=(Field("", "pixel", 2, "unit"), Field()))
    x = VAE(spec, z_dim=2).sample(100)
    assert ((x[:, :2] > 0) & (x[:, :2] < 1)).all()


def test_other_categories_have_another_meaning():
    other = Spec((6,), fields=(FIELDS[1], FIELDS[0]))
    words = Spec((6,), fields=(FIELDS[0]._replace(labels=("a", "b", "c", "d", "e")), FIELDS[1]))
    assert MIXED.meaning not in (other.meaning, words.meaning)
    assert MIXED.meaning == Spec((6,), fields=(FIELDS[0], numeric("weight", 0.0, 1.0))).meaning
    with pytest.raises(OptionError, match="have another meaning"):
        LatentDiffusion(words, VAE(MIXED, z_dim=2))
    with pytest.raises(OptionError, match="sigma"):
        VAE(Spec((2,)), sigma=0.0)


@pytest.mark.parametrize("model", ["vae", "flow", "ddpm"])
def test_families_learn_how_a_real_depends_on_a_category(model):
    t = trainer(model, toy(), steps=600, batch_size=128, ema=0.99)
    t.fit()
    assert t.ema is not None
    torch.manual_seed(1)
    with torch.no_grad():
        x = t.data.decode(t.ema.model.eval().sample(2000))  # type: ignore[operator]
    shares, k = x[:, :K].mean(0).float(), x[:, :K].argmax(1)
    assert (shares - SHARES).abs().max() < 0.06
    for i in range(K):  # all of them would be near 0.33 if the two were independent
        assert ((x[k == i, K] - 10) / 2).mean().item() == pytest.approx(0.5 * (i - 2), abs=0.6)


def test_relaxed_categories_are_drawn_and_have_a_gradient():
    torch.manual_seed(0)
    head, raw = Head(MIXED), torch.cat([SHARES.log(), torch.tensor([0.7])]).expand(20_000, -1).clone().requires_grad_()
    x = head.relaxed(raw, 0.1)
    torch.testing.assert_close(x[:, :K].sum(1), torch.ones(20_000))
    drawn = torch.bincount(x[:, :K].argmax(1), minlength=K) / 20_000
    torch.testing.assert_close(drawn, SHARES, atol=0.02, rtol=0)
    assert x[:, :K].amax(1).mean() > 0.9
    assert (x[:, K] == 0.7).all()
    x[:, 0].sum().backward()
    assert raw.grad is not None
    assert raw.grad.abs().sum() > 0
    assert torch.equal(head.relaxed(raw, 0), head.mean(raw))
    before = torch.get_rng_state()
    Head(Spec((2,))).relaxed(torch.ones(3, 2), 0.2)
    assert torch.equal(before, torch.get_rng_state())  # nothing is drawn where there are no categories
