"""The sines of TimeGAN: their formula, their splits, and a run from training to the report."""

import numpy as np
import pytest
import torch

from genlab.cli import main
from genlab.data.sines import Sines, sines
from genlab.errors import UserError


def test_every_channel_is_a_sine_of_low_frequency_and_phase():
    x = sines(200, 3, 24, seed=1).double()
    assert x.shape == (200, 3, 24)
    angle = torch.asin((2 * x - 1).clamp(-1, 1))
    rising = angle[..., 1] - angle[..., 0]  # the angle stays below pi / 2 at the start
    phase, frequency = angle[..., 0], rising
    for drawn in (phase, frequency):
        assert -1e-5 < drawn.min() < 0.005
        assert 0.095 < drawn.max() < 0.1 + 1e-5
        assert abs(drawn.mean() - 0.05) < 0.005
    rebuilt = (torch.sin(frequency[..., None] * torch.arange(24) + phase[..., None]) + 1) / 2
    assert (rebuilt - x).abs().max() < 1e-4
    assert torch.corrcoef(torch.cat([phase, frequency], dim=1).T).triu(1).abs().max() < 0.25


def test_splits_are_the_same_in_every_run_and_disjoint():
    a, b, other = Sines(n=100, length=5, channels=2), Sines(n=100, length=5, channels=2), Sines(100, 5, 2, seed=1)
    assert [len(a.splits[name].x) for name in ("train", "validation", "test")] == [80, 10, 10]
    assert torch.equal(a.splits["test"].x, b.splits["test"].x)
    assert a.fingerprint == b.fingerprint != other.fingerprint
    rows = torch.cat([split.x for split in a.splits.values()]).flatten(1)
    assert len(rows.unique(dim=0)) == 100
    assert a.spec.layout == "sequence"
    assert a.spec.shape == (2, 5)
    assert a.real("test", 3).min() >= 0


@pytest.mark.parametrize(("key", "value"), [("n", 9), ("length", 0), ("channels", 0), ("n", 10**9)])
def test_sizes_that_make_no_sense_are_refused(key, value):
    with pytest.raises(UserError):
        Sines(**{key: value})


def test_a_run_on_sines_from_training_to_the_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["data=sines", "data.n=100", "data.length=8", "data.channels=2"]
    options = ["trainer.steps=4", "trainer.device=cpu", "trainer.batch_size=8", "trainer.sample_every=0"]
    assert main(["train", "model=vae", *small, *options, "hydra.run.dir=run"]) == 0
    assert main(["sample", "run=run", "n=6", "device=cpu"]) == 0
    assert main(["evaluate", "run=run", "device=cpu", "samples=10", "likelihood=2", "k=2"]) == 0
    assert main(["report", "run"]) == 0
    assert (tmp_path / "run/samples.npz").is_file()
    assert (tmp_path / "run/evaluation.json").is_file()
    assert "sines" in (tmp_path / "report.html").read_text()
    with np.load(tmp_path / "run/samples.npz") as arrays:
        assert arrays["samples"].shape == (6, 8, 2)  # (N, T, C), as papers and other tools keep series
