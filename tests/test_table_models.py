"""CTGAN and TabDDPM: what they draw in training, and their closed forms."""

import math
from typing import Any

import pyarrow
import pytest
import torch
from conftest import config

from genlab.config import build
from genlab.data.table import Table
from genlab.errors import UserError
from genlab.models import tabddpm
from genlab.models.ctgan import CTGAN
from genlab.models.tabddpm import TabDDPM, backward, blurred
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options


@pytest.fixture(scope="module")
def data() -> Table:
    """A table of 1,000 rows in which one row in fifty has the word "rare", and the number tells the word."""
    generator = torch.Generator().manual_seed(0)
    word = torch.arange(1000) % 50
    words = ["rare" if k == 0 else ("even" if k % 2 == 0 else "odd") for k in word.tolist()]
    centre = {"rare": 5.0, "even": 0.0, "odd": -5.0}
    noise = torch.randn(1000, generator=generator).tolist()
    number = [round(centre[w] + e, 2) for w, e in zip(words, noise, strict=True)]
    sex = ["f" if e > 0 else "m" for e in torch.randn(1000, generator=generator).tolist()]
    return Table(pyarrow.table({"word": words, "number": number, "sex": sex}), rare=1)


def trained(model: str, data: Table, steps: int, *options: str) -> Any:
    torch.manual_seed(0)
    composed = config(f"model={model}", "data=gaussian2d", *options)
    family = build.family(composed, data.spec)
    chosen = Options(steps=steps, batch_size=100, evaluate_every=0, sample_every=0, device="cpu", ema=0)
    Trainer(family, data, build.optimizers(composed), chosen).fit()
    return family.eval()


def test_rare_words_are_drawn_by_the_logarithm_of_their_counts(data: Table):
    torch.manual_seed(0)
    model = CTGAN(data.spec)
    x = data.batch("train", torch.arange(800))["x"]
    model.count(x)
    rows, c = zip(*(model.choose(x) for _ in range(10)), strict=True)
    rows, c = torch.cat(rows), torch.cat(c)
    assert (c.sum(1) == 1).all()
    assert (x[rows][:, model.channels] * c).sum(1).eq(1).all()  # each row has the word that was asked for
    schema: Any = data.spec.table
    names = [*schema.column("word").labels, *schema.column("sex").labels]
    counts = x[:, model.channels].sum(0)
    for part in (slice(0, 3), slice(3, 5)):
        expected = 0.5 * torch.log1p(counts[part]) / torch.log1p(counts[part]).sum()
        torch.testing.assert_close(c.mean(0)[part], expected, atol=0.02, rtol=0)
    assert c.mean(0)[names.index("rare")] > 0.08 > 0.03 > counts[names.index("rare")] / len(x)


def test_ctgan_learns_to_draw_the_word_it_is_asked_for(data: Table):
    model = trained("ctgan", data, 150, "optimizer.generator.lr=2e-3", "optimizer.critic.lr=2e-3")
    c = torch.eye(model.words).repeat_interleave(100, dim=0)
    with torch.no_grad():
        words = model.raw(c)[:, model.channels]
    own = [part.argmax(1) for part in words.split(model.sizes, dim=1)]
    assert all((own[0][100 * k : 100 * (k + 1)] == k).float().mean() > 0.9 for k in range(3))
    assert all((own[1][300 + 100 * k :][:100] == k).float().mean() > 0.9 for k in range(2))
    drawn = model.sample(20)
    assert drawn.shape == (20, data.spec.shape[0])
    assert model.score(drawn).shape == (20,)


def test_posteriors_of_words_follow_from_bayes_rule():
    """q(x_s|x_t, x_0) ∝ q(x_t|x_s) q(x_s|x_0), summed by hand over the words."""
    k, bar_s, bar_t = 4, 0.6, 0.2
    step = bar_t / bar_s * torch.eye(k) + (1 - bar_t / bar_s) / k  # q(x_t|x_s), rows x_s
    for x_0 in range(k):
        first = torch.eye(k)[x_0 : x_0 + 1]
        for x_t in range(k):
            by_hand = step[:, x_t] * blurred(first, bar_s)[0]
            found = backward(torch.eye(k)[x_t : x_t + 1], first, bar_s, bar_t)[0]
            torch.testing.assert_close(found, by_hand / by_hand.sum())
    torch.testing.assert_close(step @ step.T @ torch.ones(k), torch.ones(k))  # each step keeps the total
    start = backward(torch.eye(k)[1:2], torch.tensor([[0.7, 0.1, 0.1, 0.1]]), 1.0, bar_t)
    assert start[0].sum() == pytest.approx(1)


def test_noise_turns_words_into_uniform_ones(data: Table):
    torch.manual_seed(0)
    model = TabDDPM(data.spec)
    x = data.batch("train", torch.zeros(4000, dtype=torch.int64))["x"]
    noise, drawn = torch.randn_like(x), tabddpm.gumbel(x)
    for bar in (1.0, 0.5, 0.0):
        x_t = model.noised(x / model.scale, noise, drawn, torch.full((4000, 1), bar))
        words = (x_t * model.scale)[:, model.word]
        assert ((words == 0) | (words == 1)).all()
        expected = blurred(x[:1, :3] if model.word[0] else x[:1, 1:4], bar)[0]
        torch.testing.assert_close(words[:, :3].mean(0), expected, atol=0.03, rtol=0)
    assert torch.allclose(x_t[:, ~model.word], noise[:, ~model.word])


def test_tabddpm_learns_which_number_goes_with_which_word(data: Table):
    model = trained("tabddpm", data, 400, "model.sample_steps=50")
    torch.manual_seed(0)
    schema: Any = data.spec.table
    values = schema.named(data.spec.decode(model.sample(1000)))
    labels = schema.column("word").labels
    means = [values["number"][values["word"] == labels.index(word)].mean().item() for word in ("odd", "even")]
    assert means[0] == pytest.approx(-5, abs=1.0)
    assert means[1] == pytest.approx(0, abs=1.0)
    shares = [(values["word"] == labels.index(word)).float().mean().item() for word in ("odd", "rare")]
    assert shares[0] == pytest.approx(0.5, abs=0.1)
    assert shares[1] == pytest.approx(0.02, abs=0.03)


def test_the_loss_of_words_is_their_code_length_at_the_last_step(data: Table):
    """At t = 1 the divergence is -log of the net's probability of the word."""
    x_0, guess = torch.eye(3)[:1], torch.tensor([[0.5, 0.25, 0.25]])
    bar = 0.9
    total = 0.0
    for word, share in zip(torch.eye(3), blurred(x_0, bar)[0], strict=True):
        true = backward(word[None], x_0, 1.0, bar)[0]
        p = backward(word[None], guess, 1.0, bar)[0]
        assert true[0] == pytest.approx(1)
        total += share.item() * -math.log(p[0].item())
    assert total < -math.log(0.5)  # the noisy word tells a little about x_0


@pytest.mark.parametrize("model", ["ctgan", "tabddpm"])
def test_they_take_tables_only(model: str):
    with pytest.raises(UserError, match=rf"{model} takes tables of typed columns only: data=table"):
        build.family(config(f"model={model}"), build.data(config("data.n=100")).spec)


def test_options_out_of_range(data: Table):
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"timesteps": 10}, "timesteps: must be >= 20"),
        ({"sample_steps": 0}, "sample_steps: must be between 1 and"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
    )
    for options, message in wrong:
        with pytest.raises(UserError, match=message):
            TabDDPM(data.spec, **options)
    with pytest.raises(UserError, match="packing"):
        CTGAN(data.spec, packing=0)
