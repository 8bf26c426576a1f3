"""User data: every family trains on it, and the command line finds it again."""

import csv

import numpy as np
import pytest
import torch
from conftest import MODELS, ONLY, config, models_of
from omegaconf import OmegaConf
from own_files import NAMES, pictures, values, write

from genlab.config import build
from genlab.config.signature import target_of
from genlab.data.array import Array
from genlab.data.base import Spec, Stream
from genlab.data.folder import Folder
from genlab.data.gaussian2d import Gaussian2D
from genlab.data.pairs import Pairs
from genlab.evaluation.training import evaluator
from genlab.models.base import Density, Family, Reconstructor, Sampler, Translator
from genlab.models.flow import Flow
from genlab.plots import drawers
from genlab.plots.snapshots import snapshot
from genlab.runs.folder import Run
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

pytestmark = pytest.mark.usefixtures("cache")


def built(model: str, data) -> tuple[Family, dict]:
    composed = config(f"model={model}", "data=array", "data.path=x")
    torch.manual_seed(0)
    return build.family(composed, data.spec), build.optimizers(composed)


# Data larger than the device


def test_data_over_the_limit_stays_in_host_memory(tmp_path):
    """The device "meta" stands in for a GPU: its tensors have shapes but no values."""
    for data in (Folder(str(pictures(tmp_path / "d")), size=28), Gaussian2D(n=20), Pairs(Gaussian2D(n=20))):
        data.to("meta", limit=0)
        assert data.splits["train"].x.device.type == "cpu"
        batch = Stream(data, 4, seed=0)(0)
        assert {value.device.type for value in batch.values()} == {"meta"}
        assert data.real("test", 2).device.type == "meta"
        data.to("meta", limit=10**9)
        assert data.splits["train"].x.device.type == "meta"


# All families


@pytest.mark.parametrize("model", [model for model in MODELS if model not in ONLY])
@pytest.mark.parametrize("width", [1, 3])
def test_every_family_runs_on_tables_of_any_width(model, width, tmp_path, monkeypatch):
    monkeypatch.setattr(drawers, "POINTS", 50)
    monkeypatch.setattr(drawers.PointDrawer, "shown", 50)
    np.save(tmp_path / "t.npy", values(60)[:, [2, 0, 1][:width]])
    data = Array(str(tmp_path / "t.npy"))
    run(model, Pairs(data) if model == "cyclegan" else data)


@pytest.mark.parametrize("model", models_of("images"))
def test_every_family_runs_on_colour_images(model, tmp_path):
    range = target_of(config(f"model={model}").model, "model").prefers
    data = Folder(str(pictures(tmp_path / "d")), size=28, range=range)
    run(model, Pairs(data, data) if model == "cyclegan" else data)


def run(model: str, data) -> None:
    family, optimizers = built(model, data)
    trainer = Trainer(
        family, data, optimizers, Options(steps=2, batch_size=4, device="cpu", sample_every=0, evaluate_every=1)
    )
    trainer.fit()
    family.eval()
    with torch.no_grad():
        if isinstance(family, Sampler):
            assert family.sample(3).shape == (3, *data.spec.shape)
        if isinstance(family, Density) and data.spec.layout != "image":
            assert family.log_prob(data.head("test", 2)["x"]).isfinite().all()
    if data.spec.layout != "image":
        pictures = snapshot(family, data)
        abilities = [isinstance(family, kind) for kind in (Sampler, Reconstructor, Translator)]
        assert len(pictures) == sum(abilities)
        assert all(picture.ndim == 3 and picture.dtype == np.uint8 for picture in pictures.values())


@pytest.mark.parametrize("model", ["vae", "cyclegan"])
def test_measures_do_not_depend_on_the_units_of_a_table(model, tmp_path):
    measures = []
    for scale in (1.0, 1024.0):  # a power of two, so no digit changes
        np.save(tmp_path / "t.npy", values(60)[:, :3] * scale)
        data = Array(str(tmp_path / "t.npy"))
        data = Pairs(data) if model == "cyclegan" else data
        measures.append(evaluator(data, torch.device("cpu"), 0)(built(model, data)[0].eval()))
    assert measures[0].keys() == measures[1].keys() != set()
    assert measures[0] == pytest.approx(measures[1], rel=1e-4)  # single precision


def test_a_flow_of_one_column_is_invertible():
    for coupling in ("affine", "spline"):
        torch.manual_seed(0)
        flow = Flow(Spec((1,)), coupling=coupling, couplings=3).double().eval()
        for parameter in flow.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
        z, log_det = flow.flow(x)
        torch.testing.assert_close(flow.flow.inverse(z)[0], x, rtol=0, atol=1e-9)
        (slope,) = torch.autograd.grad(flow.flow(point := x.clone().requires_grad_())[0].sum(), point)
        torch.testing.assert_close(slope[:, 0].log(), log_det, rtol=0, atol=1e-9)


# The command line


def test_a_table_can_be_trained_on_resumed_and_sampled_from_another_folder(cli, tmp_path, monkeypatch):
    raw = values()
    write(tmp_path / "my (table).csv", raw, labels=["low", "high"] * 100)
    small = (
        "trainer.steps=2",
        "trainer.device=cpu",
        "trainer.evaluate_every=0",
        "trainer.sample_every=0",
        "hydra.run.dir=run",
    )
    code, _, err = cli(
        "train", "model=ddpm", "model.conditional=true", "model.sample_steps=2", "data=array", "data.label=kind",
        "data.path=my (table).csv", *small,
    )  # fmt: skip
    assert (code, err) == (0, "")
    stored = Run.open(tmp_path / "run").read_config()
    assert stored.data.path == str(tmp_path / "my (table).csv")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cli("train", "resume=../run", "trainer.steps=3")[0] == 0
    assert cli("sample", "run=../run", "n=4", "y=each")[0] == 0
    rows = list(csv.reader((tmp_path / "run" / "samples.csv").read_text().splitlines()))
    assert rows[0] == [*NAMES, "kind"]
    assert [row[-1] for row in rows[1:]] == ["high", "low", "high", "low"]
    samples = np.load(tmp_path / "run" / "samples.npz")["samples"]
    assert samples.dtype == np.float64
    written = np.array([row[:-1] for row in rows[1:]], float)
    assert (np.abs(written - samples) <= 1e-6 * raw.std(0)).all()  # the timestamps of ten digits, too

    raw[0, 0] *= 2
    write(tmp_path / "my (table).csv", raw, labels=["low", "high"] * 100)
    code, _, err = cli("train", "resume=../run", "trainer.steps=4")
    assert code == 2
    assert "data differ from those this run was trained on" in err
    (tmp_path / "my (table).csv").unlink()
    assert cli("sample", "run=../run", "n=4")[0] == 0  # samples need no table


def test_a_run_without_a_data_version_uses_version_1(cli, tmp_path):
    """Runs from before there were versions keep their splits and classes when resumed and evaluated."""
    write(tmp_path / "t.csv", values(60), labels=["a", "b", "None"] * 20)
    small = ("trainer.steps=2", "trainer.device=cpu", "trainer.evaluate_every=0", "trainer.sample_every=0")
    train = ("model=vae", "data=array", "data.label=kind", "data.path=t.csv", *small)
    code, _, err = cli("train", *train, "hydra.run.dir=new")
    assert (code, err.count("\n")) == (2, 1)
    assert "line 4, column 'kind': the label is missing" in err
    assert cli("train", *train, "data.version=1", "hydra.run.dir=run")[0] == 0
    run = Run.open(tmp_path / "run")
    text = run.config.read_text()
    assert "  version: 1\n" in text
    run.config.write_text(text.replace("  version: 1\n", ""))
    assert run.read_config().data.version == 1
    assert cli("train", "resume=run", "trainer.steps=3")[0] == 0
    assert cli("evaluate", "run=run", "samples=20")[0] == 0
    code, _, err = cli("train", "resume=run", "data.version=2", "trainer.steps=4")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = cli("train", *train, "data.version=3", "hydra.run.dir=third")
    assert (code, err) == (2, "genlab: data.version: '3' is none of 1, 2\n")


@pytest.mark.parametrize(("data", "version"), [("array", 1), ("folder", 1), ("gaussian2d", None)])
def test_an_old_config_gets_data_version_1_if_its_data_have_versions(tmp_path, data, version):
    composed = config(f"data={data}", *(["data.path=x"] if version else []))
    OmegaConf.set_struct(composed, False)
    assert composed.data.pop("version", None) == (2 if version else None)
    run = Run(tmp_path)
    run.write_config(composed)
    assert run.read_config().data.get("version") == version


def test_a_missing_data_path_gives_a_one_line_error(cli):
    for data in ("folder", "array"):
        code, out, err = cli("train", f"data={data}", "hydra.run.dir=out/run")
        assert (code, out) == (2, "")
        assert err == "genlab: 'data.path' needs a value: add data.path=...\n"
        assert cli("train", f"data={data}", "data.path=~/absent", "hydra.run.dir=out/run")[2].count("\n") == 1


def test_two_folders_are_two_domains(tmp_path):
    first, second = pictures(tmp_path / "a"), pictures(tmp_path / "b", n=20)
    composed = config("model=cyclegan", "data=folder", f"data.path={first}", f"data.other={second}", "data.size=28")
    data = build.data(composed)
    assert isinstance(data, Pairs)
    assert not data.known
    assert (len(data.a), len(data.b)) == (10, 16)
