"""Reproducibility: a run records what it was made with, and its folder is enough to repeat it bit for bit."""

import json
import os

import pytest
import torch
from conftest import equal
from test_faults import SMALL

import genlab
from genlab.commands.environment import source
from genlab.errors import UserError
from genlab.runs.folder import Run
from genlab.trainer import checkpoint, device


@pytest.mark.parametrize("name", [["--config-name", "config"], []])
@pytest.mark.parametrize("model", ["wgan_gp", "vae"])
def test_a_run_folder_can_be_rerun_bit_for_bit(cli, tmp_path, name, model):
    small = [word for word in SMALL if not word.startswith("model") and not word.startswith("hydra")]
    assert cli(*small, f"model={model}", "seed=3", "hydra.run.dir=first")[0] == 0
    code, _, err = cli("train", "--config-dir", "first", *name)
    assert (code, err) == (0, "")
    (again,) = (tmp_path / "outputs" / f"{model}_gaussian2d").iterdir()
    states = [checkpoint.read(run / "checkpoints" / "last.pt") for run in (tmp_path / "first", again)]
    assert equal(*states)
    configs = [(run / "config.yaml").read_text() for run in (tmp_path / "first", again)]
    assert configs[0] == configs[1]


def test_a_rerun_accepts_overrides_and_sweeps_and_refuses_wrong_keys(cli, tmp_path):
    assert cli(*SMALL)[0] == 0
    code, out, _ = cli("train", "--config-dir=run", "trainer.steps=7", "--cfg", "job")
    assert code == 0
    assert "steps: 7" in out
    code, _, err = cli("train", "--config-dir", "run", "trainer.stepz=7")
    assert code == 2
    assert "did you mean 'steps'" in err
    assert cli("train", "-cd", "run", "-m", "seed=1,2", "hydra.sweep.dir=sweep")[0] == 0
    assert len([path for path in (tmp_path / "sweep").iterdir() if path.is_dir()]) == 2


def test_config_dir_still_accepts_a_folder_of_user_configs(cli, tmp_path):
    (tmp_path / "mine" / "data").mkdir(parents=True)
    own = "_target_: genlab.data.gaussian2d.Gaussian2D\nkind: ring\nn: 77\n"
    (tmp_path / "mine" / "data" / "own.yaml").write_text(own)
    code, out, _ = cli("prepare", "--config-dir", "mine", "data=own")
    assert code == 0
    assert "77 train" in out


def test_environment_json_records_what_the_run_was_made_with(cli, tmp_path):
    assert cli(*SMALL)[0] == 0
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["genlab"] == genlab.__version__
    assert environment["torch"] == torch.__version__
    assert environment["threads"] == torch.get_num_threads()
    assert environment["device"] == "cpu"
    assert environment["command"].startswith("genlab train model=autoencoder")
    assert environment["earlier"] == []
    assert cli("train", "resume=run", "trainer.steps=8")[0] == 0
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert (environment["step"], environment["command"]) == (6, "genlab train resume=run trainer.steps=8")
    assert [record["step"] for record in environment["earlier"]] == [0]


def test_a_damaged_environment_does_not_stop_a_run(tmp_path):
    run = Run(tmp_path)
    for text in ("", "[", "[]", "3", '{"earlier": 3}', "[" * 100_000):
        run.environment.write_text(text)
        run.write_environment({"step": 1})
        assert json.loads(run.environment.read_text())["step"] == 1


def test_the_source_is_none_unless_it_is_a_checkout(tmp_path, monkeypatch):
    assert source(tmp_path) is None
    (tmp_path / ".git").mkdir()
    assert source(tmp_path) is None  # git refuses it, which is no error
    monkeypatch.setenv("PATH", "")
    assert source(tmp_path) is None


def test_deterministic_is_on_for_the_run_only_and_names_what_cannot_be_deterministic(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with device.deterministic(False):
        assert not torch.are_deterministic_algorithms_enabled()
    with device.deterministic(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(UserError, match=r"trainer\.deterministic: .*deterministic"), device.deterministic(True):
        torch.empty(3).put_(torch.tensor([0, 0]), torch.ones(2), accumulate=False)
    with pytest.raises(RuntimeError, match="size"), device.deterministic(True):
        torch.matmul(torch.zeros(2), torch.zeros(3))
    assert not torch.are_deterministic_algorithms_enabled()


def test_deterministic_does_not_change_a_run_on_the_cpu(cli, tmp_path):
    for folder, on in (("a", "false"), ("b", "true")):
        assert cli(*SMALL[:-1], f"trainer.deterministic={on}", f"hydra.run.dir={folder}")[0] == 0
    a, b = (checkpoint.read(tmp_path / name / "checkpoints" / "last.pt") for name in ("a", "b"))
    assert equal(a, b)
