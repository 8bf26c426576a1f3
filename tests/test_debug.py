"""The debug presets: one batch over and over, everything in two steps, the source of a NaN, a profile."""

import json

import pytest
import torch
from conftest import trainer

from genlab.data.gaussian2d import Gaussian2D
from genlab.models.base import LossOutput

SMALL = ("trainer.device=cpu", "trainer.batch_size=16", "data.n=100", "hydra.run.dir=run")


def test_overfitting_sees_the_first_batches_alone():
    one, two = (trainer("autoencoder", Gaussian2D(n=100), overfit_batches=count) for count in (1, 2))
    assert torch.equal(one.stream(0)["x"], one.stream(7)["x"])
    assert not torch.equal(two.stream(0)["x"], two.stream(1)["x"])
    assert torch.equal(two.stream(1)["x"], two.stream(3)["x"])
    assert torch.equal(trainer("autoencoder", Gaussian2D(n=100)).stream(0)["x"], one.stream(0)["x"])


def test_one_batch_is_learnt_by_heart(cli, tmp_path):
    options = ["model=autoencoder", "optimizer.model.lr=3e-3", "trainer.steps=300"]
    code, _, err = cli("train", "debug=overfit", *options, *SMALL)
    assert (code, err) == (0, "")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["train/model/loss"] for line in lines]
    assert losses[-1] < losses[0] / 20


def test_two_steps_do_everything(cli, tmp_path):
    assert cli("train", "debug=steps", "experiment=gaussian2d_vae", *SMALL)[0] == 0
    assert (tmp_path / "run" / "checkpoints" / "last.pt").exists()
    assert len(list((tmp_path / "run" / "samples").glob("samples_*.png"))) == 2


@pytest.mark.filterwarnings("ignore:Error detected in")  # how autograd names the forward operation
def test_anomaly_mode_stops_at_a_nan_gradient_and_is_left_behind():
    built = trainer("autoencoder", Gaussian2D(n=100), anomaly=True, steps=2)
    weight = next(built.family.parameters())

    def loss(batch):
        return LossOutput(torch.sqrt(weight.sum() * 0.0))  # its value is finite, its gradient 0 · ∞

    built.updates[0].phase = built.phases[0]._replace(loss=loss)  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match=r"MulBackward0.*nan"):
        built.fit()
    assert not torch.is_anomaly_enabled()


def test_the_profile_opens_as_a_trace(cli, tmp_path):
    code, _, err = cli("train", "debug=profile", "model=autoencoder", "trainer.profile=2", "trainer.steps=7", *SMALL)
    assert (code, err) == (0, "")
    trace = json.loads((tmp_path / "run" / "profile.pt.trace.json").read_text())
    names = {event.get("name") for event in trace["traceEvents"]}
    assert "aten::addmm" in names
    assert {name for name in names if str(name).startswith("ProfilerStep")} == {"ProfilerStep#3", "ProfilerStep#4"}
    assert "aten::addmm" in (tmp_path / "run" / "profile.txt").read_text()
