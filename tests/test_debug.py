"""The debug presets: overfit one batch, do everything in two steps, find the source of a NaN, record a profile."""

import json

import pytest
import torch
from conftest import trainer

from genlab.data.gaussian2d import Gaussian2D
from genlab.models.base import LossOutput

SMALL = ("trainer.device=cpu", "trainer.batch_size=16", "data.n=100", "hydra.run.dir=run")


def test_overfit_batches_repeats_only_the_first_batches():
    one_batch, two_batches = (trainer("autoencoder", Gaussian2D(n=100), overfit_batches=count) for count in (1, 2))
    assert torch.equal(one_batch.stream(0)["x"], one_batch.stream(7)["x"])
    assert not torch.equal(two_batches.stream(0)["x"], two_batches.stream(1)["x"])
    assert torch.equal(two_batches.stream(1)["x"], two_batches.stream(3)["x"])
    assert torch.equal(trainer("autoencoder", Gaussian2D(n=100)).stream(0)["x"], one_batch.stream(0)["x"])


def test_the_overfit_preset_learns_one_batch_by_heart(cli, tmp_path):
    options = ["model=autoencoder", "optimizer.model.lr=3e-3", "trainer.steps=300"]
    code, _, err = cli("train", "debug=overfit", *options, *SMALL)
    assert (code, err) == (0, "")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["train/model/loss"] for line in lines]
    assert losses[-1] < losses[0] / 20


def test_the_steps_preset_does_everything_in_two_steps(cli, tmp_path):
    assert cli("train", "debug=steps", "experiment=gaussian2d_vae", *SMALL)[0] == 0
    assert (tmp_path / "run" / "checkpoints" / "last.pt").exists()
    assert len(list((tmp_path / "run" / "samples").glob("samples_*.png"))) == 2


@pytest.mark.filterwarnings("ignore:Error detected in")  # how autograd names the forward operation
def test_anomaly_mode_stops_at_a_nan_gradient_and_is_switched_off_again():
    built = trainer("autoencoder", Gaussian2D(n=100), anomaly=True, steps=2)
    weight = next(built.family.parameters())

    def loss(batch):
        return LossOutput(torch.sqrt(weight.sum() * 0.0))  # its value is finite, but its gradient is 0 · ∞

    built.updates[0].phase = built.phases[0]._replace(loss=loss)  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match=r"MulBackward0.*nan"):
        built.fit()
    assert not torch.is_anomaly_enabled()


def test_the_profile_preset_writes_a_readable_trace(cli, tmp_path):
    code, _, err = cli("train", "debug=profile", "model=autoencoder", "trainer.profile=2", "trainer.steps=7", *SMALL)
    assert (code, err) == (0, "")
    trace = json.loads((tmp_path / "run" / "profile.pt.trace.json").read_text())
    names = {event.get("name") for event in trace["traceEvents"]}
    assert "aten::addmm" in names
    assert {name for name in names if str(name).startswith("ProfilerStep")} == {"ProfilerStep#3", "ProfilerStep#4"}
    assert "aten::addmm" in (tmp_path / "run" / "profile.txt").read_text()
