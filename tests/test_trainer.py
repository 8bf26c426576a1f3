"""What the trainer does for every family: accumulation, clipping, schedules, EMA, stopping and failing safely."""

import copy
import json
import time
from functools import partial
from itertools import pairwise

import pytest
import torch
from conftest import equal, trainer
from torch import nn

from genlab.data.gaussian2d import Gaussian2D
from genlab.errors import RunFailed, UserError
from genlab.models.base import Family, LossOutput, Phase
from genlab.trainer import checkpoint
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options
from genlab.trainer.schedule import factor

SGD = partial(torch.optim.SGD, lr=0.01)


class Probe(Family):
    """A family of two phases with one layer each, which records the batches that it sees."""

    def __init__(self, spec, poison_at=-1):
        super().__init__(spec)
        self.first, self.second = nn.Linear(2, 1), nn.Linear(2, 1)
        self.poison_at, self.seen, self.clipped = poison_at, [], 0

    def phases(self):
        return (
            Phase("first", (self.first,), partial(self.loss, "first"), repeats=2, after=self.count),
            Phase("second", (self.second,), partial(self.loss, "second"), every=3),
        )

    def count(self):
        self.clipped += 1

    def loss(self, name, batch):
        self.seen.append((name, int(batch["step"]), batch["x"].clone(), batch.get("note")))
        value = (self.first if name == "first" else self.second)(batch["x"]).square().mean()
        if name == "second":
            value = value + 0 * self.first(batch["x"]).sum()
        value = value * torch.where(batch["step"] == self.poison_at, torch.nan, 1.0)
        return LossOutput(value, {"twice": 2 * value}, {"note": value} if name == "first" else {})


def probe(folder=None, poison_at=-1, **options):
    torch.manual_seed(0)
    data = Gaussian2D(n=40)
    defaults = {"batch_size": 8, "steps": 7, "log_every": 1, "ema": 0.0, "device": "cpu"}
    return Trainer(
        Probe(data.spec, poison_at), data, {"first": SGD, "second": SGD}, Options(**(defaults | options)), folder=folder
    )


def test_phases_repeat_on_fresh_batches_and_pass_values_on():
    t = probe(evaluate_every=0)
    t.fit()
    family = t.family
    assert isinstance(family, Probe)
    assert [(name, step) for name, step, *_ in family.seen if step == 3] == [("first", 3), ("first", 3), ("second", 3)]
    assert [step for name, step, *_ in family.seen if name == "second"] == [0, 3, 6]
    assert family.clipped == 14
    batches = [x for _, _, x, _ in family.seen]
    assert all(not torch.equal(a, b) for a, b in pairwise(batches))
    assert all(note is not None and not note.requires_grad for name, _, _, note in family.seen if name == "second")


class Staged(Probe):
    """A family whose second phase runs at steps 4 and 5, and whose first phase stops there."""

    def phases(self):
        first, second = super().phases()
        return first._replace(stop=4), second._replace(every=1, start=4, stop=6)


def test_phases_run_from_their_start_to_their_stop_and_resume_in_any_stage():
    def staged(steps, state=None):
        t = probe(steps=steps, evaluate_every=0)
        torch.manual_seed(0)
        family = Staged(t.data.spec)
        t = Trainer(family, t.data, {"first": SGD, "second": SGD}, t.options, folder=None)
        if state:
            t.load_state_dict(state)
        t.fit()
        return t, family

    whole, family = staged(7)
    assert [step for name, step, *_ in family.seen if name == "first"] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [step for name, step, *_ in family.seen if name == "second"] == [4, 5]
    for cut in (3, 4, 5, 6):
        resumed, _ = staged(7, copy.deepcopy(staged(cut)[0].state_dict()))
        assert equal(resumed.family.state_dict(), whole.family.state_dict())
    assert [phase.updates(7) for phase in family.phases()] == [8, 2]
    assert [phase.updates(3) for phase in family.phases()] == [6, 0]
    assert Phase("x", (), partial(family.loss, "first"), repeats=2, every=4).updates(100) == 50


def test_a_non_finite_loss_stops_the_run_and_names_phase_and_step(tmp_path):
    t = probe(tmp_path, poison_at=6, steps=20, checkpoint_every=2, log_every=100)
    with pytest.raises(RunFailed, match="phase 'first' is not finite at step 7"):
        t.fit()
    state = checkpoint.read(tmp_path / "checkpoints" / "last.pt")
    assert state["step"] == 6
    assert all(value.isfinite().all() for value in state["family"].values())


def test_non_finite_weights_are_never_saved(tmp_path):
    t = probe(tmp_path, steps=4, checkpoint_every=0)
    t.fit()
    with torch.no_grad():
        t.family.get_parameter("second.weight").fill_(torch.inf)
    with pytest.raises(RunFailed, match="weight"):
        t.save()
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_parts_give_the_gradient_of_the_whole_batch(parts):
    weights = []
    for accumulate in (1, parts):
        t = trainer("autoencoder", Gaussian2D(n=50), accumulate=accumulate, steps=1, ema=0.0)
        t.train_step()
        weights.append(
            torch.cat([p.grad.flatten() if p.grad is not None else p.flatten() for p in t.family.parameters()])
        )
    assert torch.allclose(weights[0], weights[1], atol=1e-6)  # fp32 sums in another order


def test_clipping_bounds_the_gradient_and_logs_its_norm(tmp_path):
    moved = {}
    for clip in (0.0, 1e-3):
        t = probe(clip_grad_norm=clip, evaluate_every=0)
        before = t.family.get_parameter("first.weight").detach().clone()
        t.train_step()
        moved[clip] = (t.family.get_parameter("first.weight") - before).norm().item()
        assert ("first/grad_norm" in t.meter.read()) == bool(clip)
    assert moved[1e-3] <= 2 * 0.01 * 1e-3 * 1.001  # at most two updates of lr x clip
    assert moved[0.0] > moved[1e-3]


def test_schedules_have_the_expected_values():
    constant = Options(warmup=4)
    assert [factor(constant, step, 100) for step in (0, 1, 3, 4, 99)] == [0.25, 0.5, 1.0, 1.0, 1.0]
    linear = Options(schedule="linear", warmup=10)
    assert factor(linear, 10, 110) == 1.0
    assert factor(linear, 60, 110) == pytest.approx(0.5)
    assert factor(linear, 110, 110) == 0.0
    cosine = Options(schedule="cosine", decay_steps=100)
    assert factor(cosine, 25, 1000) == pytest.approx(0.5 * (1 + 2**-0.5))
    assert factor(cosine, 100, 1000) == factor(cosine, 500, 1000) == 0.0
    floor = Options(schedule="linear", decay_steps=10, decay_to=0.1)
    assert [factor(floor, step, 1000) for step in (0, 5, 10, 999)] == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert factor(floor, 5, 20) == factor(floor, 5, 1000)  # the length of the run does not matter


def test_the_schedule_sets_the_learning_rate_of_the_optimizer():
    t = probe(schedule="linear", steps=4, evaluate_every=0)
    rates = []
    for _ in range(4):
        t.train_step()
        rates.append(t.optimizers["first"].param_groups[0]["lr"])
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025])


def test_ema_is_the_moving_average_of_the_weights():
    t = trainer("autoencoder", Gaussian2D(n=50), steps=5, ema=0.5)
    assert t.ema is not None
    name, weight = next(iter(t.family.named_parameters()))
    average = weight.detach().clone()
    for step in range(5):
        t.train_step()
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight.detach()
    assert torch.allclose(t.ema.model.get_parameter(name), average, atol=1e-6)
    assert not t.ema.model.training
    assert not any(p.requires_grad for p in t.ema.model.parameters())


def test_epochs_replace_steps_and_max_minutes_ends_the_run_cleanly(tmp_path):
    assert probe(epochs=2).steps == 10  # 40 points in batches of 8
    t = probe(tmp_path, steps=10**9, max_minutes=1 / 60, log_every=1000)
    began = time.monotonic()
    result = t.fit()
    assert result.reason == "max_minutes"
    assert 1 <= time.monotonic() - began < 20
    assert checkpoint.read(tmp_path / "checkpoints" / "last.pt")["step"] == result.step


def test_a_reason_to_stop_ends_the_run_after_the_step():
    words = iter(["", "", "enough", ""])
    torch.manual_seed(0)
    data = Gaussian2D(n=40)
    options = Options(batch_size=8, steps=9, device="cpu")
    t = Trainer(Probe(data.spec), data, {"first": SGD, "second": SGD}, options, stop=lambda: next(words))
    result = t.fit()
    assert (result.step, result.reason) == (3, "enough")


def test_the_best_checkpoint_follows_the_monitored_measure(tmp_path):
    scores = iter([3.0, 1.0, 2.0])
    torch.manual_seed(0)
    data = Gaussian2D(n=40)
    options = Options(batch_size=8, steps=6, evaluate_every=2, checkpoint_every=6, monitor="eval/score", device="cpu")
    phases = {"first": SGD, "second": SGD}
    t = Trainer(
        Probe(data.spec), data, phases, options, folder=tmp_path, evaluate=lambda family: {"eval/score": next(scores)}
    )
    result = t.fit()
    assert result.best == (1.0, 4)
    assert checkpoint.read(tmp_path / "checkpoints" / "best.pt")["step"] == 4
    assert checkpoint.read(tmp_path / "checkpoints" / "last.pt")["step"] == 6


def test_an_unknown_monitor_and_missing_optimizers_are_refused():
    with pytest.raises(UserError, match=r"eval/nothing.*eval/first/loss"):
        probe(monitor="eval/nothing").fit()
    data = Gaussian2D(n=40)
    with pytest.raises(UserError, match="first, second"):
        Trainer(Probe(data.spec), data, {"model": SGD})


def test_metrics_have_the_tags_that_scripts_rely_on(tmp_path):
    probe(tmp_path, steps=4, log_every=2, evaluate_every=4).fit()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 4]
    assert {"train/first/loss", "train/first/twice", "time/samples_per_s", "lr/first"} <= set(lines[0])
    assert lines[0]["time/samples_per_s"] > 0
    assert {"eval/first/loss", "eval/second/loss"} <= set(lines[2])


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"epochs": 0.0},
        {"ema": 1.0},
        {"batch_size": 6, "accumulate": 4},
        {"device": "gpu"},
        {"keep": -1},
        {"max_minutes": -1.0},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="trainer"):
        Options(**wrong)
