"""Options of resumed runs: a run is evaluated on the data it was trained on, and its config records what was done."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import blobs, trainer
from test_faults import SMALL, refused

from genlab.errors import UserError
from genlab.runs.folder import Run
from genlab.trainer import checkpoint
from genlab.trainer.state import load_optimizer, state_keys

QUICK = (
    "trainer.steps=4",
    "trainer.device=cpu",
    "trainer.sample_every=0",
    "trainer.evaluate_every=0",
    "hydra.run.dir=run",
)


def table(path: Path, scale: float = 1.0, flipped: bool = False) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2)) * [scale, 1.0]
    rows = rows[::-1] if flipped else rows
    path.write_text("a,b\n" + "".join(f"{a!r},{b!r}\n" for a, b in rows.tolist()))


def test_a_run_can_be_evaluated_and_sampled_after_its_data_have_moved(cli, tmp_path):
    table(tmp_path / "t.csv")
    assert cli("train", "model=autoencoder", "data=array", "data.path=t.csv", *QUICK)[0] == 0
    (tmp_path / "new place").mkdir()
    (tmp_path / "t.csv").rename(tmp_path / "new place" / "t.csv")
    for verb, words in (("evaluate", ("samples=4",)), ("sample", ("n=4",))):
        refused(cli(verb, "run=run", *words), 2, "there is no file")
        code, _, err = cli(verb, "run=run", "data.path=new place/t.csv", *words)
        assert (code, err) == (0, ""), err
        table(tmp_path / "other.csv", scale=2.0)
        refused(cli(verb, "run=run", "data.path=other.csv", *words), 2, "data differ from those")
    refused(cli("evaluate", "run=run", "data=gaussian2d"), 2, "is evaluated on its own data")


@pytest.mark.parametrize("change", [{"scale": 3.0}, {"flipped": True}])
def test_a_run_is_not_evaluated_on_data_that_have_changed(cli, tmp_path, change):
    table(tmp_path / "t.csv")
    assert cli("train", "model=autoencoder", "data=array", "data.path=t.csv", *QUICK)[0] == 0
    assert cli("evaluate", "run=run", "samples=4")[0] == 0
    (tmp_path / "run" / "evaluation.json").unlink()
    table(tmp_path / "t.csv", **change)
    words = "data differ from those this run was trained on"
    refused(cli("evaluate", "run=run", "samples=4"), 2, words)
    assert not (tmp_path / "run" / "evaluation.json").exists()
    refused(cli("sample", "run=run", "n=4"), 2, words)  # reconstructions of test rows
    refused(cli("train", "resume=run", "trainer.steps=6"), 2, words)


def test_samples_are_plotted_without_real_points_if_the_data_have_changed(cli, tmp_path):
    table(tmp_path / "t.csv")
    assert cli("train", "model=flow", "data=array", "data.path=t.csv", *QUICK)[0] == 0
    assert cli("sample", "run=run", "n=4")[0] == 0
    with np.load(tmp_path / "run" / "samples.npz") as stored:
        before = stored["samples"]
    table(tmp_path / "t.csv", scale=1000.0)
    code, out, err = cli("sample", "run=run", "n=4")
    assert (code, err) == (0, "")
    assert "no real samples: the data differ from those" in out
    with np.load(tmp_path / "run" / "samples.npz") as stored:
        np.testing.assert_array_equal(stored["samples"], before)  # decoded by the run's own scale


def test_a_resumed_run_cannot_change_its_range(tmp_path):
    run = trainer("autoencoder", blobs(range="unit"), steps=2)
    run.train_step()
    with pytest.raises(UserError, match=r"data\.range: this run began with unit, not symmetric"):
        trainer("autoencoder", blobs(range="symmetric"), steps=2).load_state_dict(run.state_dict())


def group(path: Path) -> dict:
    return checkpoint.read(path / "checkpoints" / "last.pt")["optimizers"]["model"]["param_groups"][0]


def test_new_optimizer_options_apply_after_a_resume(cli, tmp_path):
    assert cli(*SMALL, "+optimizer.model.betas=[0.5,0.9]")[0] == 0
    words = ("optimizer.model.betas=[0.1,0.2]", "+optimizer.model.weight_decay=0.25", "trainer.steps=8")
    code, _, err = cli("train", "resume=run", *words)
    assert (code, err) == (0, "")
    options = group(tmp_path / "run")
    assert (tuple(options["betas"]), options["weight_decay"]) == ((0.1, 0.2), 0.25)
    stored = Run.open(tmp_path / "run").read_config().optimizer.model
    assert (list(stored.betas), stored.weight_decay) == ([0.1, 0.2], 0.25)
    assert cli("train", "resume=run", "trainer.steps=9")[0] == 0  # and they are kept from then on
    assert group(tmp_path / "run")["weight_decay"] == 0.25


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (("optimizer.model._target_=torch.optim.SGD",), ("torch.optim.Adam", "start a new run")),
        (("data._target_=genlab.data.mnist.MNIST",), ("data._target_", "keeps it")),
        (("+optimizer.model.amsgrad=true",), ("max_exp_avg_sq", "did not store")),
        (("+optimizer.modle.lr=1",), ("did you mean 'optimizer.model.lr'",)),
        (("+optimizer.model.weight_deca=1",), ("did you mean 'weight_decay'",)),
        (("model.z_dim=5",), ("does not fit this model",)),
    ],
)
def test_a_refused_resume_leaves_the_config_unchanged(cli, tmp_path, words, messages):
    assert cli(*SMALL)[0] == 0
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    refused(cli("train", "resume=run", "trainer.steps=8", *words), 2, *messages)
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before


def test_a_changed_config_is_written_with_the_first_checkpoint_made_with_it(cli, tmp_path, monkeypatch):
    """So that the advice after a failed resume, to continue with resume=RUN, works."""
    from genlab.trainer.loop import Trainer

    assert cli(*SMALL)[0] == 0
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    diverging = ("trainer.steps=60", "trainer.checkpoint_every=100", "optimizer.model.lr=1e30")
    refused(cli("train", "resume=run", *diverging), 1, "not finite", "resume=run")
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before

    def step(self):
        raise KeyError("exp_avg")

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train_step", step)
        with pytest.raises(KeyError):
            cli("train", "resume=run", "trainer.steps=8", "optimizer.model.lr=0.5")
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before
    assert cli("train", "resume=run", "trainer.steps=8", "optimizer.model.lr=0.5")[0] == 0
    assert Run.open(tmp_path / "run").read_config().optimizer.model.lr == 0.5
    words = ("trainer.steps=9", "trainer.checkpoint_every=0", "optimizer.model.lr=0.25")
    assert cli("train", "resume=run", *words)[0] == 0  # without checkpoints, it is written at the end
    assert Run.open(tmp_path / "run").read_config().optimizer.model.lr == 0.25


def test_a_checkpoint_refuses_another_class_of_optimizer():
    run = trainer("vae", blobs(range="unit"), steps=2)
    run.train_step()
    other = trainer("vae", blobs(range="unit"), steps=2)
    other.optimizers["model"] = torch.optim.SGD(other.family.parameters(), lr=0.1)
    with pytest.raises(UserError, match="began with Adam, not SGD"):
        other.load_state_dict(run.state_dict())


class Counting(torch.optim.SGD):
    """An optimizer that keeps a counter in its group, as schedule-free optimizers do."""

    def __init__(self, params, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        self.param_groups[0].setdefault("k", 0)

    def step(self, closure=None):  # type: ignore[override]
        self.param_groups[0]["k"] += 1
        return super().step(closure)


def test_counters_among_an_optimizers_options_are_restored():
    weight = torch.nn.Parameter(torch.ones(3, 2))
    first, second = Counting([weight]), Counting([weight], lr=0.5)
    weight.grad = torch.ones_like(weight)
    first.step()
    load_optimizer(second, first.state_dict(), "model")
    assert (second.param_groups[0]["k"], second.param_groups[0]["lr"]) == (1, 0.5)


def test_state_keys_are_found_without_changing_the_optimizer():
    weight = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = torch.optim.RMSprop([weight], momentum=0.9, centered=True)
    assert {"square_avg", "momentum_buffer", "grad_avg"} <= state_keys(optimizer)
    assert not optimizer.state
    assert torch.equal(weight, torch.ones(3, 2))
    assert state_keys(torch.optim.SGD([weight])) == set()
