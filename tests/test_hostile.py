"""Untrusted files: nothing in a run folder makes genlab run code, read secrets or write outside the folder."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from test_faults import OLD, SMALL, refused

from genlab.config import targets
from genlab.errors import UserError

VERBS = (("train", "resume=run"), ("train", "--config-dir", "run"), ("sample", "run=run", "device=cpu"))


@pytest.fixture
def run(tmp_path) -> Path:
    return Path(shutil.copytree(OLD / "format_1", tmp_path / "run"))


def change(run: Path, key: str, value: object) -> None:
    config = OmegaConf.load(run / "config.yaml")
    OmegaConf.update(config, key, value, merge=False, force_add=True)
    (run / "config.yaml").write_text(OmegaConf.to_yaml(config))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model", {"_target_": "os.system", "command": "touch owned"}, "model._target_: 'os.system' is not in"),
        ("model._target_", "genlab.models.vae.os.system", "cannot import"),
        ("model._target_", "genlab.models.base.torch.hub.load", "is not in genlab.models"),
        ("model._target_", "genlab.trainer.checkpoint.write", "is not in genlab.models"),
        ("model._target_", "genlab.runs.folder:to_json", "is not in genlab.models"),
        ("model._target_", "builtins.exec", "is not in genlab.models"),
        (
            "model.encoder",
            {"_target_": "subprocess.call", "_partial_": False, "args": ["touch", "owned"]},
            "model.encoder._target_: 'subprocess.call' is not in",
        ),
        ("model.encoder.hidden", [{"_target_": "os.mkdir", "path": "owned"}], "hidden[0]._target_: 'os.mkdir'"),
        (
            "model.encoder.hidden",
            {"deep": {"deeper": [{"_target_": "os.mkdir", "path": "owned"}]}},
            "hidden.deep.deeper[0]._target_: 'os.mkdir'",
        ),
        (
            "model.encoder",
            {"_target_": "genlab.networks.choice.encoder", "_args_": ["touch owned"]},
            "model.encoder._args_: genlab does not support this key",
        ),
        ("model.encoder._target_", "genlab.data.mnist.load", "model.encoder._target_: 'genlab.data.mnist.load'"),
        ("model.own", {"_target_": "os.mkdir", "path": "owned"}, "model.own._target_: 'os.mkdir' is not in"),
        ("model.z_dim", {"_target_": "os.mkdir", "path": "owned"}, "model.z_dim._target_: 'os.mkdir' is not in"),
    ],
)
def test_a_config_that_would_run_code_is_refused(cli, run, tmp_path, key, value, message):
    change(run, key, value)
    for verb in VERBS if key == "model" else VERBS[2:]:
        refused(cli(*verb), 2, message)
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "outputs").exists() or not list((tmp_path / "outputs").glob("*/*"))


@pytest.mark.parametrize(
    "key", ["data._target_", "trainer._target_", "optimizer.model._target_", "optimizer.model.betas"]
)
def test_targets_of_data_trainer_and_optimizers_are_restricted_too(cli, run, tmp_path, key):
    change(run, key, "os.getcwd" if key.endswith("_target_") else [{"_target_": "os.mkdir", "path": "owned"}])
    refused(cli("train", "resume=run", "trainer.steps=6"), 2, "_target_", "--allow-targets")
    assert not (tmp_path / "owned").exists()


def test_targets_on_the_command_line_are_restricted_unless_the_user_allows_them(cli, monkeypatch):
    own = "model.encoder._target_=os.path.join"
    refused(cli(*SMALL, own), 2, "os.path.join", targets.FLAG)
    _, _, err = cli(*SMALL, own, targets.FLAG)
    assert "unknown option 'model.encoder." in err  # now the target is accepted and its options are checked
    assert targets.VARIABLE not in os.environ
    monkeypatch.setenv(targets.VARIABLE, "1")
    assert targets.resolve("os.path.join", "model") is os.path.join


def test_only_genlabs_builders_and_torch_optimizers_are_allowed_targets():
    for name, path in (
        ("genlab.models.vae.VAE", "model"),
        ("genlab.networks.choice.encoder", "model.encoder"),
        ("torch.optim.AdamW", "optimizer.model"),
    ):
        assert callable(targets.resolve(name, path))
    for name, path in (
        ("torch.optim.lr_scheduler.StepLR", "optimizer.model"),
        ("torch.optim.adam.warnings.warn", "optimizer.model"),
        ("genlab.models.vae.VAE.apply", "model"),
        ("genlab.models.vae.Family", "model"),
        ("genlab.models.vae", "model"),
        ("genlab.models.vae.__builtins__", "model"),
        ("genlab..models", "model"),
        (None, "model"),
    ):
        with pytest.raises(UserError):
            targets.resolve(name, path)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name: ${oc.env:HOME}", "resolved"),
        ('name: "\\x24{oc.env:HOME}"', "resolved"),
        ("hydra: {callbacks: {x: {_target_: os.mkdir, path: owned}}}", "hydra section"),
        ("defaults: [{override hydra/launcher: joblib}]", "defaults section"),
        ("a: &a [1, 1]\nb: [*a, *a]", "aliases"),
        ("a: " + "[" * 3000, "damaged"),
        ("a: " + "x" * 300_000, "too large"),
        ("a: !!python/object/apply:os.mkdir [owned]", "damaged"),
        ("optimizer: [1]", "must be a table"),
        ("\0", "damaged"),
    ],
)
def test_config_content_that_genlab_never_writes_is_refused(cli, run, tmp_path, text, word):
    old = (run / "config.yaml").read_text().replace("name: old\n", "")
    if text.startswith("optimizer"):
        old = old.replace("optimizer:", "other:")
    (run / "config.yaml").write_text(f"{old}{text}\n")
    for verb in VERBS if "hydra" in text else VERBS[:1]:
        refused(cli(*verb), 2, word)
    assert not (tmp_path / "owned").exists()


def test_a_name_that_leads_out_of_outputs_is_refused(cli, run):
    change(run, "name", "../elsewhere")
    refused(cli("train", "--config-dir", "run"), 2, "leads out of outputs/")


@pytest.mark.parametrize("name", ["metrics.jsonl", "config.yaml.tmp", ".lock", "checkpoints/last.tmp", "samples"])
def test_links_and_pipes_in_a_run_folder_are_refused(cli, run, tmp_path, name):
    mine = tmp_path / "mine"
    mine.write_text("precious")
    (run / name).symlink_to(mine)
    for verb in VERBS if name == ".lock" else VERBS[:1]:
        refused(cli(*verb), 2, "link")
    (run / name).unlink()
    os.mkfifo(run / name)
    refused(cli(*VERBS[0]), 2, "not a plain file")
    assert mine.read_text() == "precious"


def test_a_checkpoint_that_would_run_code_is_refused_by_train_and_sample(cli, run, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"format": 1, "step": 4, "family": Evil()}, run / "checkpoints" / "last.pt")
    for verb in (VERBS[0], VERBS[2]):
        refused(cli(*verb), 2, "damaged checkpoint")
    assert not (tmp_path / "owned").exists()


def test_hydra_pickles_are_not_loaded(cli, tmp_path):
    refused(cli("train", "--experimental-rerun=run/config.pickle"), 2, "unknown flag")


def test_terminal_escape_sequences_from_a_file_are_not_printed(cli, run):
    change(run, "trainer.precision", "\x1b[2J\nfp32")
    _, _, err = cli("train", "resume=run")
    assert "\x1b" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"\0\0\x0d\x03" + b"\xff" * 12, b"\0\0\x08\x03" + b"\x7f\xff\xff\xff" * 3])
def test_idx_headers_are_checked_before_parsing(cli, tmp_path, monkeypatch, content):
    from torchvision import datasets

    def parse(*_, **__):
        raise AssertionError("parsed")

    monkeypatch.setattr(datasets, "MNIST", parse)
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(content)
    refused(cli("prepare", "data=mnist", f"data.root={tmp_path}"), 2, "damaged files")
