"""Monitors catch and name runs that go wrong and leave healthy ones alone; early stopping; both after a resume."""

import json
import math
from functools import partial
from typing import Any

import pytest
import torch
from conftest import equal, trainer
from torch import nn

from genlab.data.gaussian2d import Gaussian2D
from genlab.errors import UserError
from genlab.evaluation.judges.points import PointJudge
from genlab.models.base import Family, LossOutput, Phase
from genlab.models.gan import GAN
from genlab.models.vae import VAE
from genlab.models.wgan import WGANGP
from genlab.networks.choice import decoder, encoder
from genlab.trainer import checkpoint
from genlab.trainer.loop import Result, Trainer
from genlab.trainer.monitors import ModeCollapse, Monitors, PosteriorCollapse, SaturatedDiscriminator
from genlab.trainer.options import Options
from genlab.trainer.validate import Best

LOW, HIGH = {"eval/kl": 0.01}, {"eval/kl": 3.0}
SMALL = partial(encoder, hidden=[32]), partial(decoder, hidden=[32])


def warned(monitor, records, every=500):
    """Returns the steps at which the monitor warns, given one record every `every` steps."""
    return [i * every for i, record in enumerate(records, 1) if monitor(i * every, record)]


def points(modes, quality=0.9, spread=1.0, ratio=0.8):
    return {"eval/modes": modes, "eval/high_quality": quality, "eval/spread": spread, "eval/std_ratio_min": ratio}


def judged(accuracy, loss):
    return {"train/discriminator/accuracy": accuracy, "train/discriminator/loss": loss, "train/generator/loss": 9.0}


def test_a_warning_needs_several_signs_in_a_row_and_is_given_once():
    assert warned(PosteriorCollapse(), [LOW] * 6) == [1500]
    assert warned(PosteriorCollapse(), [LOW, LOW, HIGH, LOW, LOW]) == []
    assert warned(PosteriorCollapse(), [LOW] * 4 + [HIGH] + [LOW] * 4) == [1500, 4000]
    assert warned(PosteriorCollapse(), [{"eval/autoencoder/kl": 0.0}] * 3) == [1500]
    others = {"train/model/loss": 1.0, "train/model/kl": 0.0, "eval/reverse_kl": 0.0}  # measures that it ignores
    assert warned(PosteriorCollapse(), [LOW, others, LOW, others, LOW]) == [2500]
    assert warned(PosteriorCollapse(), [others] * 6) == []


@pytest.mark.parametrize(
    ("records", "at"),
    [
        ([points(8)] * 6, []),
        ([points(4)] * 6, []),  # half of them is just enough
        ([points(3)] * 6, [1500]),
        ([points(1, quality=0.2)] * 6, []),  # blurred, or not trained yet
        ([points(8), points(8, 0.4)] + [points(1, quality=0.2)] * 6, [2500]),  # but it had these modes before
        ([points(0, quality=0.0, spread=0.01)] * 6, [1500]),  # one point, far from every mode
        ([points(8, ratio=0.05)] * 6, [1500]),
        ([points(8, ratio=math.nan)] * 6, []),
        ([points(3), points(3), points(8)] * 4, []),
        ([{"eval/recall": 0.6}] + [{"eval/recall": 0.2}] * 6, [2000]),
        ([{"eval/recall": 0.05}] + [{"eval/recall": 0.0}] * 6, []),
        ([{"eval/classes": 4.0}] * 6, []),
        ([{"eval/classes": 3.0}] * 6, [1500]),
        ([{"eval/loss": 3.0, "eval/kl": 0.0}] * 6, []),
    ],
)
def test_mode_collapse_is_detected_from_the_measures(records, at):
    assert warned(ModeCollapse(classes=8), records) == at


def test_mode_collapse_waits_a_thousand_steps_and_reports_the_measures():
    monitor = ModeCollapse(classes=8)
    warnings = [monitor(step, points(2, spread=0.25)) for step in range(100, 1300, 100)]
    assert [bool(warning) for warning in warnings] == [False] * 10 + [True, False]
    for word in ("mode collapse", "modes 2 (out of 8)", "spread 0.25 (ideally 1)", "since step 100"):
        assert word in warnings[10]
    assert not warned(ModeCollapse(), [{"eval/classes": 2.0}] * 9)  # the number of classes is not known


def test_a_discriminator_is_saturated_if_it_is_accurate_and_confident_for_long():
    assert warned(SaturatedDiscriminator(), [judged(1.0, 0.001)] * 50, every=50) == [1050]
    assert warned(SaturatedDiscriminator(), [judged(1.0, 0.001)] * 9, every=500) == [2500]
    assert not warned(SaturatedDiscriminator(), [judged(1.0, 0.1)] * 50)  # right, but only just
    assert not warned(SaturatedDiscriminator(), [judged(0.6, 0.001)] * 50)
    assert not warned(SaturatedDiscriminator(), [{"train/critic/loss": 0.0, "train/critic/wasserstein": 0.0}] * 50)


def test_monitors_that_resume_from_a_state_give_the_same_warnings():
    records = [
        points(9, 0.4),
        judged(1.0, 0.0),
        LOW,
        points(3, 0.2),
        LOW,
        points(3, 0.2),
        LOW,
        points(3, 0.2),
        HIGH,
    ] * 2
    records += [judged(1.0, 0.0)] * 4
    uninterrupted = Monitors(9)
    expected = [uninterrupted(600 * i, record) for i, record in enumerate(records)]
    names = [warning.split(":")[0] for warnings in expected for warning in warnings]
    assert names == ["posterior collapse", "mode collapse"] * 2 + ["saturated discriminator"]
    for cut in range(len(records)):
        first, second = Monitors(9), Monitors(9)
        for i, record in enumerate(records[:cut]):
            first(600 * i, record)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert [second(600 * (cut + i), record) for i, record in enumerate(records[cut:])] == expected[cut:]


def train_ring_gan(generator_rate: float, steps: int, **options: Any) -> Result:
    """Trains a GAN on the ring, its generator at this learning rate and its discriminator at 1e-4."""
    data = Gaussian2D("ring", n=500)
    judge = PointJudge(data, "validation", 500, quick=True)
    torch.manual_seed(0)
    gan = GAN(data.spec, z_dim=2, discriminator=SMALL[0], generator=SMALL[1])
    rates = {"discriminator": 1e-4, "generator": generator_rate}
    optimizers = {name: partial(torch.optim.Adam, lr=rate, betas=(0.5, 0.999)) for name, rate in rates.items()}
    defaults = {
        "batch_size": 16,
        "log_every": 250,
        "ema": 0.0,
        "evaluate_every": 250,
        "sample_every": 0,
        "device": "cpu",
    }

    def evaluate(family: Family) -> dict[str, float]:
        assert isinstance(family, GAN)
        return judge(family.sample(500))

    return Trainer(gan, data, optimizers, Options(steps=steps, **(defaults | options)), evaluate=evaluate).fit()


def test_mode_collapse_of_a_gan_is_detected(capsys):
    """A generator 200 times as fast as its discriminator puts all samples on the currently best point."""
    result = train_ring_gan(2e-2, 2500, on_collapse="stop")
    assert result.reason.startswith("mode collapse")
    assert result.step < 2500
    assert result.measures["eval/spread"] < 0.5
    assert "warning" in (said := capsys.readouterr().err)
    assert "mode collapse" in said


def test_posterior_collapse_of_a_vae_is_detected_and_a_healthy_one_left_alone(capsys):
    def run(beta: float) -> Result:
        data = Gaussian2D(n=500)
        torch.manual_seed(0)
        vae = VAE(data.spec, z_dim=2, beta=beta, encoder=SMALL[0], decoder=SMALL[1])
        options = Options(steps=500, batch_size=64, ema=0.0, evaluate_every=50, device="cpu", on_collapse="stop")
        return Trainer(vae, data, {"model": partial(torch.optim.Adam, lr=3e-3)}, options).fit()

    collapsed, healthy = run(50.0), run(1.0)
    assert collapsed.reason.startswith("posterior collapse")
    assert collapsed.measures["eval/kl"] < 0.1
    assert capsys.readouterr().err.count("posterior collapse") == 1
    assert healthy.reason == "steps"
    assert healthy.measures["eval/kl"] > 0.5


class Scored(Family):
    """A family of one layer, whose measures the test supplies."""

    def __init__(self, spec):
        super().__init__(spec)
        self.layer = nn.Linear(2, 1)

    def phases(self):
        return (Phase("model", (self.layer,), lambda batch: LossOutput(self.layer(batch["x"]).square().mean())),)


def scored(scores, folder=None, **options: Any):
    torch.manual_seed(0)
    data = Gaussian2D(n=40)
    defaults: dict[str, Any] = {
        "batch_size": 8,
        "steps": 40,
        "ema": 0.0,
        "evaluate_every": 2,
        "device": "cpu",
        "patience": 3,
        "monitor": "eval/high_quality",
    }
    run = Trainer(
        Scored(data.spec),
        data,
        {"model": partial(torch.optim.SGD, lr=0.01)},
        Options(**(defaults | options)),
        folder=folder,
        evaluate=lambda family: {"eval/high_quality": scores[min(run.step // 2, len(scores)) - 1]},
    )
    return run


SCORES = [0.1, 0.5, 0.4, 0.5, 0.6, 0.6, 0.2, 0.3, 0.9]  # the best at evaluation 5, then three that are not better


def test_patience_ends_a_run_that_no_longer_improves():
    result = scored(SCORES).fit()
    assert result.reason == "patience"
    assert result.best == (0.6, 10)  # mode auto: more quality is better
    assert result.step == 17  # the step after evaluation 8
    assert scored(SCORES, patience=0).fit().best == (0.9, 18)
    assert scored(SCORES, patience=3, mode="min").fit().step == 9  # the first value was the lowest


def test_patience_survives_a_resume(tmp_path):
    whole = scored(SCORES, tmp_path / "whole")
    parts = scored(SCORES, tmp_path / "parts", steps=13)  # halfway past one evaluation without an improvement
    for run in (whole, parts):
        assert run.folder is not None
        run.folder.mkdir()
        run.fit()
    resumed = scored(SCORES, tmp_path / "parts")
    resumed.load_state_dict(checkpoint.read(tmp_path / "parts" / "checkpoints" / "last.pt"))
    assert resumed.best.stale == 1
    result = resumed.fit()
    assert (result.reason, result.step) == ("patience", 17)
    assert equal(whole.state_dict(), resumed.state_dict())


def test_a_checkpoint_of_format_1_still_loads():
    old = scored(SCORES).state_dict()
    del old["monitors"], old["stale"]
    run = scored(SCORES)
    run.load_state_dict(old | {"collapse": 2})
    assert run.monitors.state_dict()["posterior collapse"]["count"] == 2
    assert run.best.stale == 0


def test_mode_auto_knows_which_direction_is_better():
    ways = {"eval/modes": "max", "eval/elbo": "max", "eval/autoencoder/elbo": "max", "eval/sliced_w2": "min"}
    ways |= {"eval/unheard_of": "min", "eval/high_quality": "near 0.989", "eval/mode_std": "near 1"}
    assert {name: Best(name, "auto", 1).better for name in ways} == ways
    assert Best("auto", "auto", 1).better == Best("auto", "auto", 2).better == "min"
    with pytest.raises(UserError, match=r"trainer\.mode"):
        Best("eval/active_units", "auto", 1)
    assert Best("eval/active_units", "max", 1).better == "max"


def test_modes_that_shrink_to_points_count_as_a_collapse():
    """All modes are covered and every sample is near one, but the modes have no width."""
    narrow, right = points(8, 0.999) | {"eval/mode_std": 0.05}, points(8, 0.989) | {"eval/mode_std": 0.98}
    assert warned(ModeCollapse(8), [narrow] * 6) != []
    assert warned(ModeCollapse(8), [right] * 6) == []


def test_high_quality_above_that_of_the_data_is_not_better():
    """Modes that are drawn too narrow have more than 98.9 % of their samples within 3σ."""
    best = Best("eval/high_quality", "auto", 1)
    improved = [best.update(step, {"eval/high_quality": value}) for step, value in enumerate((0.9, 0.986, 0.999, 0.99))]
    assert improved == [True, True, False, True]
    assert best.found == (0.99, 3)


def test_patience_without_evaluations_is_refused():
    with pytest.raises(UserError, match="evaluate_every"):
        Options(patience=3, evaluate_every=0)
    with pytest.raises(UserError, match="patience"):
        Options(patience=-1)


@pytest.mark.parametrize("model", ["gan", "vae_gan"])
def test_discriminators_log_their_accuracy(model):
    t = trainer(model, Gaussian2D(n=50), steps=1)
    t.train_step()
    assert 0 <= t.meter.read()["discriminator/accuracy"] <= 1


def test_critics_log_penalty_and_wasserstein_estimate():
    t = trainer("wgan_gp", Gaussian2D(n=50), steps=1)
    t.train_step()
    logs = t.meter.read()
    assert isinstance(t.family, WGANGP)
    assert logs["critic/loss"] == pytest.approx(
        t.family.gp_weight * logs["critic/penalty"] - logs["critic/wasserstein"], rel=1e-5
    )
