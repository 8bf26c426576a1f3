"""The examples of the README work as shown."""

import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from conftest import blobs

from genlab.cli import VERBS
from genlab.data.gaussian2d import Gaussian2D
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_three_lines_of_python_load_and_sample(tmp_path, monkeypatch):
    shutil.copytree(Path(__file__).parent / "old_runs" / "format_2_vae", tmp_path / "outputs" / "RUN")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(blocks("python")[0], names)
    assert names["samples"].shape == (1000, 2)


@pytest.mark.parametrize("data", [Gaussian2D(n=100), blobs()], ids=["points", "images"])
def test_the_family_of_the_readme_trains(data):
    names: dict = {}
    exec(blocks("python")[1], names)
    config = yaml.safe_load(blocks("yaml")[0])
    assert config["model"].pop("_target_").endswith(".GMMN")
    assert list(config["optimizer"]) == ["generator"]
    torch.manual_seed(0)
    family = names["GMMN"](data.spec, **config["model"])
    t = Trainer(family, data, {"generator": torch.optim.Adam}, Options(steps=30, batch_size=32, device="cpu"))
    t.train_step()
    first = t.meter.read()["generator/loss"]
    t.meter.clear()
    t.fit()
    assert t.meter.read()["generator/loss"] < first


def test_the_commands_and_pictures_of_the_readme_exist():
    commands = re.findall(r"^genlab (\w+)", "\n".join(blocks("")), re.MULTILINE)
    assert set(commands) == set(VERBS)
    for picture in re.findall(r"\]\((\.github/[^)]+)\)", TEXT):
        assert (README.parent / picture).is_file(), picture
