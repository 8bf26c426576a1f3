"""`genlab.load`: a trained model in Python, in three lines."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch

import genlab
from genlab.errors import UserError
from genlab.trainer import device

OLD = Path(__file__).parent / "old_runs"
SMALL = ("trainer.steps=3", "trainer.device=cpu", "trainer.sample_every=0", "trainer.evaluate_every=0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def test_importing_genlab_imports_neither_torch_nor_hydra():
    script = "import sys, genlab; assert 'torch' not in sys.modules and 'hydra' not in sys.modules; genlab.load"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_samples_are_equal_to_those_of_the_command(cli, tmp_path):
    shutil.copytree(OLD / "format_2_vae", tmp_path / "run")
    assert cli("sample", "run=run", "n=20", "seed=3", "device=cpu")[0] == 0
    model = genlab.load(tmp_path / "run", device="cpu")
    assert np.array_equal(model.sample(20, seed=3), np.load(tmp_path / "run" / "samples.npz")["samples"])
    assert model.abilities == ["sample", "reconstruct", "encode", "decode"]
    assert "VAE of" in repr(model)
    x = model.sample(600)
    assert model.encode(x).shape == (600, 2)
    assert np.array_equal(model.decode(model.encode(x)), model.reconstruct(torch.as_tensor(x)))
    with pytest.raises(UserError, match="a VAE has no log_prob; it has: sample, reconstruct, encode, decode"):
        model.log_prob(x)
    with pytest.raises(UserError, match=r"samples must have shape \(2,\), got \(3,\)"):
        model.encode(np.zeros((4, 3)))


def test_rows_of_a_table_are_in_their_own_units(cli, tmp_path, monkeypatch):
    shutil.copytree(OLD / "format_3", tmp_path / "run")
    model = genlab.load(tmp_path / "run", device="cpu")
    rows = model.sample(30, seed=0)
    assert list(rows.columns) == ["width"]
    mean, deviation = model.spec.columns[0].mean, model.spec.columns[0].deviation
    device.seed(torch.device("cpu"), 0)
    raw = model.family.sample(30)  # type: ignore[operator]
    np.testing.assert_allclose(rows["width"], raw[:, 0].double() * deviation + mean)
    wider = pandas.DataFrame({"other": 0, "width": rows["width"]})
    assert np.array_equal(model.encode(wider), model.encode(rows.to_numpy()))
    with pytest.raises(UserError, match="lacks the columns width"):
        model.encode(wider[["other"]])
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert isinstance(model.sample(3), np.ndarray)


def test_densities_are_in_the_units_of_the_columns(cli, tmp_path):
    values = 1000 + 50 * np.random.default_rng(0).normal(size=(200, 2))
    np.savetxt(tmp_path / "t.csv", values, delimiter=",", header="a,b", comments="")
    words = ("model=flow", "data=array", "data.path=t.csv", "model.couplings=2", f"hydra.run.dir={tmp_path / 'flow'}")
    assert cli("train", *words, *SMALL)[0] == 0
    model = genlab.load(tmp_path / "flow")
    # The density integrates to one over the columns' own units.
    side = np.linspace(500, 1500, 200)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    assert np.exp(model.log_prob(grid)).sum() * (side[1] - side[0]) ** 2 == pytest.approx(1, abs=0.02)


def test_settings_and_classes_are_accepted_and_wrong_ones_refused(cli, tmp_path):
    shutil.copytree(OLD / "format_2", tmp_path / "run")
    model = genlab.load(tmp_path / "run", sample_steps=3, device="cpu")
    assert model.family.sample_steps == 3
    assert len(model.sample(4, y="rare")) == 4
    assert len(model.sample(4, y=[0, 1, 1, 0])) == 4
    for wrong, message in (
        (lambda: model.sample(4, y="rar"), "'rar' is not a class; did you mean 'rare'"),
        (lambda: genlab.load(tmp_path / "nowhere"), "nowhere"),
        (lambda: genlab.load(tmp_path / "run", checkpoint=7), "'7'"),
        (lambda: genlab.load(tmp_path / "run", sample_step=3), "sample_step"),
        (lambda: genlab.load(tmp_path / "run", device="tpu"), "tpu"),
    ):
        with pytest.raises(UserError, match=message):
            wrong()


def test_images_are_pixels_from_0_to_1(cli, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16)).astype(np.uint8)
    np.save(tmp_path / "x.npy", images)
    words = ("model=cyclegan", "data=array", "data.path=x.npy", f"hydra.run.dir={tmp_path / 'run'}")
    assert cli("train", *words, *SMALL, "trainer.batch_size=4", "model.generator.width=8")[0] == 0
    model = genlab.load(tmp_path / "run")
    translated = model.translate(images[:3, None] / 255)
    assert translated.shape == (3, 1, 16, 16)
    assert 0 <= translated.min() <= translated.max() <= 1
    with pytest.raises(UserError, match="a CycleGAN has no sample; it has: translate"):
        model.sample(3)
