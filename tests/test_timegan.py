"""TimeGAN: losses against their closed forms, its three stages, exact resume between them, learning, refusals."""

import copy
from functools import partial
from typing import Any, Literal

import pytest
import torch
from conftest import config, dataset, equal, waves
from torch.nn import functional as F

from genlab.config import build
from genlab.data.spec import Spec
from genlab.errors import UserError
from genlab.models.base import LossOutput
from genlab.models.timegan import TimeGAN, moment_distance
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

SPEC = Spec((3, 12))
NETS = ("embedder", "recovery", "generator", "supervisor", "discriminator")
MOVED = {  # the nets that a stage trains
    "embedding": {"embedder", "recovery"},
    "supervised": {"supervisor"},
    "joint": {"embedder", "recovery", "generator", "supervisor", "discriminator"},
}


def small(spec: Spec = SPEC, **options) -> TimeGAN:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"hidden": 6, "layers": 2, "embedding_steps": 2, "supervised_steps": 2}
    return TimeGAN(spec, **(settings | options))


def trainer_of(
    family: TimeGAN, steps: int, execution: Literal["eager", "compile"] = "eager", rate: float = 1e-3, **options
) -> Trainer:
    rates = {phase.name: partial(torch.optim.Adam, lr=rate) for phase in family.phases()}
    settings: dict[str, Any] = {
        "batch_size": 8,
        "log_every": 0,
        "evaluate_every": 0,
        "sample_every": 0,
        "device": "cpu",
    } | options
    return Trainer(family, waves(steps=family.steps), rates, Options(steps=steps, execution=execution, **settings))


def test_losses_match_their_closed_forms():
    family, x = small(), waves().head("train", 16)["x"]
    batch, h = {"x": x}, family.embed(x)
    mse = F.mse_loss(family.recovery(h), x)
    torch.testing.assert_close(family.embedding_loss(batch).loss, 10 * mse.sqrt())
    ahead = F.mse_loss(family.supervise(h)[:, :, :-1], h[:, :, 1:])
    torch.testing.assert_close(family.supervised_loss(batch).loss, ahead)
    torch.testing.assert_close(family.embedder_loss(batch).loss, 10 * mse.sqrt() + 0.1 * ahead)

    def drawn(loss) -> tuple[LossOutput, torch.Tensor, torch.Tensor]:
        torch.manual_seed(1)
        out = loss(batch)
        torch.manual_seed(1)
        raw = family.generate(len(x))
        return out, raw, family.supervise(raw)

    def cross_entropy(codes: torch.Tensor, label: float) -> torch.Tensor:
        logits = family.judge(codes)
        assert logits.shape == (16, 12)
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    out, raw, codes = drawn(family.generator_loss)
    moments = moment_distance(family.recovery(codes), x)
    adversarial = cross_entropy(codes, 1.0) + cross_entropy(raw, 1.0)
    torch.testing.assert_close(out.loss, adversarial + 100 * ahead.sqrt() + 100 * moments)
    out, raw, codes = drawn(family.discriminator_loss)
    torch.testing.assert_close(out.loss, cross_entropy(h, 1.0) + cross_entropy(codes, 0.0) + cross_entropy(raw, 0.0))


def test_moments_of_a_batch_are_compared_number_by_number():
    x = torch.randn(1000, 2, 3)
    assert moment_distance(x, x).item() == 0
    assert moment_distance(x + 2, x).item() == pytest.approx(2, abs=1e-5)
    assert moment_distance(2 * (x - x.mean(0)), x - x.mean(0)).item() == pytest.approx(1, abs=0.1)


def test_each_stage_trains_its_own_nets():
    family = small(embedding_steps=2, supervised_steps=3)
    t = trainer_of(family, 7)
    for step in range(7):
        before = copy.deepcopy(family.state_dict())
        t.train_step()
        moved = {
            name.split(".")[0] for name, value in family.state_dict().items() if not torch.equal(value, before[name])
        }
        assert moved == MOVED["embedding" if step < 2 else "supervised" if step < 5 else "joint"], step


def test_the_game_is_played_twice_a_step_by_all_but_the_discriminator():
    phases = {phase.name: phase for phase in small().phases()}
    assert {name: phase.updates(10) for name, phase in phases.items()} == {
        "embedding": 2,
        "supervised": 2,
        "generator": 12,
        "embedder": 12,
        "discriminator": 6,
    }


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_resume_is_exact_in_every_stage(cut):
    whole, half, resumed = (trainer_of(small(), steps) for steps in (6, cut, 6))
    whole.fit()
    half.fit()
    resumed.load_state_dict(copy.deepcopy(half.state_dict()))
    resumed.fit()
    assert equal(resumed.state_dict(), whole.state_dict())


@pytest.mark.usefixtures("traced")
def test_every_phase_is_one_graph_and_agrees_with_eager():
    ends = []
    modes: tuple[Literal["eager"], Literal["compile"]] = ("eager", "compile")
    for execution in modes:
        t = trainer_of(small(Spec((3, 3)), layers=1, embedding_steps=1, supervised_steps=1), 3, execution)
        t.fit()
        ends.append(t)
    assert all(update.graph.compiled is not update.graph.function for update in ends[1].updates)  # type: ignore[attr-defined]
    for name, value in ends[0].family.state_dict().items():
        torch.testing.assert_close(ends[1].family.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_the_discriminator_learns_only_above_the_threshold():
    batch = waves().head("train", 8)
    for threshold, learns in ((0.15, 1.0), (100.0, 0.0)):
        family = small(threshold=threshold)
        out = family.discriminator_loss(batch)
        gradients = torch.autograd.grad(out.loss, list(family.discriminator.parameters()))
        assert out.logs["learns"].item() == learns
        assert any(gradient.abs().sum() > 0 for gradient in gradients) == bool(learns)
        assert out.loss.item() > 1  # the value is the loss either way


def test_codes_and_samples_are_causal():
    family = small().double()
    x = torch.randn(2, 3, 12, dtype=torch.float64)
    changed = x.clone()
    changed[..., 7:] += 1
    for net in (family.embed, family.reconstruct):
        same = (net(x) - net(changed)).abs().amax((0, 1)) == 0
        assert same.tolist() == [True] * 7 + [False] * 5


def test_each_stage_lowers_its_loss():
    def loss(family: TimeGAN, name: str) -> float:
        torch.manual_seed(0)
        return getattr(family, name)(waves().head("validation", 24)).loss.item()

    family = small(hidden=12, layers=1, embedding_steps=100, supervised_steps=50)
    t = trainer_of(family, 170, rate=0.01, batch_size=32)
    values = {name: [loss(family, name)] for name in ("embedding_loss", "supervised_loss", "generator_loss")}
    for name, stop in (("embedding_loss", 100), ("supervised_loss", 150), ("generator_loss", 170)):
        if name != "embedding_loss":
            values[name][0] = loss(family, name)  # the stages before it change its loss
        t.steps = stop
        t.fit()
        values[name].append(loss(family, name))
    for name, (before, after) in values.items():
        assert after < 0.7 * before, (name, before, after)


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (
            Spec((2,)),
            {},
            r"model: timegan learns series of 2 or more steps, not samples of shape \(2,\); use data=sines",
        ),
        (Spec((1, 28, 28), fields="unit"), {}, r"not samples of shape \(1, 28, 28\)"),
        (Spec((3, 1)), {}, r"not samples of shape \(3, 1\)"),
        (SPEC, {"cell": "rnn"}, "cell: 'rnn' is none of gru, lstm"),
        (SPEC, {"layers": 0}, "layers: must be >= 1, got 0"),
        (SPEC, {"embedding_steps": -1}, "embedding_steps: must be >= 0, got -1"),
        (SPEC, {"threshold": float("nan")}, "threshold: must be >= 0, got nan"),
    ],
)
def test_other_data_and_wrong_options_are_refused_in_one_line(spec, options, message):
    with pytest.raises(UserError, match=message) as caught:
        TimeGAN(spec, **options)
    assert "\n" not in str(caught.value)


def test_the_default_config_has_the_settings_of_the_authors():
    family = build.family(config("model=timegan"), dataset("series").spec)
    assert isinstance(family, TimeGAN)
    assert (family.z_dim, family.gamma, family.threshold) == (3, 1.0, 0.15)
    layers = {name: len(family.get_submodule(name).net.forwards) for name in NETS}  # type: ignore[union-attr]
    assert layers == {"embedder": 3, "recovery": 3, "generator": 3, "supervisor": 2, "discriminator": 3}
    assert family.embed(torch.randn(2, 3, 12)).shape == (2, 24, 12)
    assert TimeGAN(SPEC, cell="lstm", z_dim=5, hidden=4, layers=1).sample(2).shape == (2, 3, 12)
