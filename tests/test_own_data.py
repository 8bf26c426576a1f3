"""Data of one's own: folders and tables come in whole or are refused by name, and go out in their own units."""

import csv
import os
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MODELS, config, equal
from PIL import Image

from genlab import build
from genlab import pictures as pictures_module
from genlab.data import folder as folder_module
from genlab.data.array import Array
from genlab.data.base import Spec, Stream
from genlab.data.folder import Folder
from genlab.data.gaussian2d import Gaussian2D
from genlab.data.pairs import Pairs
from genlab.errors import UserError
from genlab.evaluation.training import evaluator
from genlab.models.base import Density, Family, Reconstructor, Sampler, Translator
from genlab.models.flow import Flow
from genlab.pictures import snapshot
from genlab.run import Run
from genlab.signature import target_of
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

NAMES = ("tiny", "plain", "huge", "skewed", "shifted")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "root" / "genlab-cache"


def values(n: int = 200) -> np.ndarray:
    """(n, 5) numbers of very different scales."""
    z = np.random.default_rng(0).normal(size=(n, 5))
    return np.stack([1e-3 * z[:, 0], z[:, 1], 1e5 + 1e4 * z[:, 2], np.exp(z[:, 3]), 1.7e9 + z[:, 4]], axis=1)


def write(path: Path, rows: np.ndarray, names=NAMES, labels=None) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, *(["kind"] if labels else [])])
        writer.writerows([*map(repr, row.tolist()), *([labels[i]] if labels else [])] for i, row in enumerate(rows))
    return path


def paint(path: Path, colour=(200, 30, 60), size=(40, 30), mode="RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def pictures(folder: Path, n: int = 12, **options) -> Path:
    for i in range(n):
        paint(folder / f"{i:02}.png", (20 * i, 100, 255 - 20 * i), (30 + i, 50 - i), **options)
    return folder


def built(model: str, data) -> tuple[Family, dict]:
    composed = config(f"model={model}", "data=array", "data.path=x")
    torch.manual_seed(0)
    return build.family(composed, data.spec), build.optimizers(composed)


# Tables


def test_columns_are_standardised_over_the_training_split_and_come_back(tmp_path):
    raw = values()
    data = Array(str(write(tmp_path / "t.csv", raw)))
    assert [len(data.splits[name].x) for name in ("train", "validation", "test")] == [160, 20, 20]
    train = data.splits["train"].x
    torch.testing.assert_close(train.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(5), atol=1e-5, rtol=0)
    assert [column.name for column in data.spec.columns] == list(NAMES)
    back = torch.cat([data.real(name, 200) for name in ("train", "validation", "test")]).numpy()
    # Single precision of the standardised value: 1e-6 deviations, and every row is there once.
    order = np.argsort(back[:, 1]), np.argsort(raw[:, 1])
    assert np.abs((back[order[0]] - raw[order[1]]) / raw.std(0)).max() < 2e-6
    torch.testing.assert_close(data.spec.standardise(data.decode(train)), train, rtol=0, atol=1e-6)  # single precision


def test_a_density_in_data_units_differs_by_the_scales(tmp_path):
    """Flow on x = (v - m) / s: log p(v) = log p(x) - Σ log s, against the determinant of the map by autograd."""
    spec = Array(str(write(tmp_path / "t.csv", values()))).spec
    jacobian = torch.autograd.functional.jacobian(
        lambda x: spec.decode(x[None])[0], torch.zeros(5, dtype=torch.float64)
    )
    assert isinstance(jacobian, torch.Tensor)
    assert spec.log_scale == pytest.approx(jacobian.slogdet().logabsdet.item(), abs=1e-9)  # float64
    assert isinstance(Flow(spec), Density)


def test_the_spec_survives_a_checkpoint(tmp_path):
    spec = Array(str(write(tmp_path / "t.csv", values(), labels=["b", "a"] * 100)), label="kind").spec
    assert Spec.of(spec.state()) == spec
    assert Spec.of([[2], 3, "real"]) == Spec((2,), 3)  # as older checkpoints have it
    assert spec.labels == ("a", "b")


def test_the_same_table_in_every_format_is_the_same_data(tmp_path):
    raw, labels = values(), ["1", "10", "2", "3"] * 50
    want = Array(str(write(tmp_path / "t.csv", raw, labels=labels)), label="kind")
    assert want.spec.labels == ("1", "2", "3", "10")  # numbers by size
    np.save(tmp_path / "t.npy", raw)
    np.savez(tmp_path / "t.npz", x=raw, y=np.array([int(each) for each in labels]))
    text = (tmp_path / "t.csv").read_text().replace(",", ";")
    (tmp_path / "semicolons and ä.csv").write_text("\ufeff" + text, encoding="utf-8")
    for data in (
        Array(str(tmp_path / "t.npy")),
        Array(str(tmp_path / "t.npz")),
        Array(str(tmp_path / "semicolons and ä.csv"), label="kind"),
        Array(str(tmp_path / "t.csv"), columns=list(NAMES)),
    ):
        assert equal(data.splits["train"].x, want.splits["train"].x)
    assert equal(Array(str(tmp_path / "t.npz")).splits["test"].y, want.splits["test"].y)
    assert Array(str(tmp_path / "t.npy")).spec.columns[1].name == "x1"
    assert Array(str(tmp_path / "t.csv"), columns=["huge"]).spec.shape == (1,)


def test_parquet_is_read_by_pyarrow_or_says_how_to_get_it(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "pyarrow", None)
        (tmp_path / "t.parquet").write_bytes(b"PAR1")
        with pytest.raises(UserError, match=r"pip install 'genlab\[tables\]'"):
            Array(str(tmp_path / "t.parquet"))
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    with pytest.raises(UserError, match=r"t\.parquet cannot be read as parquet"):
        Array(str(tmp_path / "t.parquet"))
    raw = values()
    columns = {name: raw[:, i] for i, name in enumerate(NAMES)} | {"kind": ["a", "b"] * 100}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    want = Array(str(write(tmp_path / "t.csv", raw)))
    assert equal(Array(str(tmp_path / "t.parquet"), label="kind").splits["train"].x, want.splits["train"].x)
    with pytest.raises(UserError, match="'kind' is of string"):
        Array(str(tmp_path / "t.parquet"))
    parquet.write_table(pyarrow.table({"a": [1.0, None, 2.0]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="row 2, column 'a'"):
        Array(str(tmp_path / "t.parquet"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,NaN\n", r"line 3, column 'b': 'NaN' is no finite number"),
        ("a,b\n\n1,2\n3,six\n", r"line 4, column 'b': 'six' is no number"),
        ("a,b\n1,\n", r"line 2, column 'b': the cell is empty"),
        ("a,b\n1,1e999\n", r"line 2, column 'b'"),
        ("a,b\n1,2\n1,2,3\n", r"line 3 has 3 cells, where there are 2 columns"),
        ("a,b\n1,2\n1\n", r"line 3 has 1 cells"),
        ("", r"t\.csv is empty"),
        ("a,b\n", r"0 samples"),
        ("a,b\n1,2\n3,4\n", r"none to train on"),
        ("1,2\n3,4\n", r"line 1 is all numbers.*data\.header=false"),
        ("a,a\n1,2\n", r"two columns are called 'a'"),
        (",a\n0,1\n", r"column 1 has no name"),
        ("a,b\n" + "".join(f"{i},7\n" for i in range(30)), r"column 'b' is 7 in every row"),
        ('a,b\n1,"2\n', r"line 2: unexpected end of data"),
        ("a,b\n1," + "x" * 200_000 + "\n", r"line 2: field larger than field limit"),
    ],
)
def test_bad_tables_are_refused_by_line_and_column(tmp_path, text, message):
    file = tmp_path / "t.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        Array(str(file))
    assert "\n" not in str(caught.value)
    assert "t.csv" in str(caught.value) or "data.path" in str(caught.value)


def test_bad_arrays_and_options_are_refused(tmp_path):
    table = str(write(tmp_path / "t.csv", values(20), labels=["a", "b"] * 10))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"label": "kin"}, "did you mean 'kind'"),
        ({"columns": ["tiny", "plian"]}, "did you mean 'plain'"),
        ({"columns": ["kind"], "label": "kind"}, "data.columns"),
        ({"key": "x"}, "data.key: has no place"),
        ({"validation": 1.0, "label": "kind"}, "data.validation"),
        ({}, "column 'kind': 'a' is no number"),
    ]
    for options, message in wrong:
        with pytest.raises(UserError, match=message):
            Array(table, **options)
    for name, array, message in (
        ("nan", np.array([[1.0], [np.inf]]), "row 2, column 'x0'"),
        ("objects", np.array([{}], dtype=object), "Python objects"),
        ("floats", np.zeros((4, 3, 8, 8)), r"images of uint8"),
        ("complex", np.zeros((4, 2), complex), "complex128"),
    ):
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
        with pytest.raises(UserError, match=message):
            Array(str(tmp_path / f"{name}.npy"))
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(UserError, match=r"data\.key: two\.npz has a, b"):
        Array(str(tmp_path / "two.npz"))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "floats.npy").read_bytes()[:300])
    with pytest.raises(UserError, match=r"cut\.npy cannot be read"):
        Array(str(tmp_path / "cut.npy"))
    with pytest.raises(UserError, match=r"none of \.csv"):
        Array(str(paint(tmp_path / "a.png")))
    with pytest.raises(UserError, match="there is no file"):
        Array(str(tmp_path / "absent.csv"))


def test_arrays_of_uint8_are_images(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (10, 28, 28, 3)).astype(np.uint8)
    np.save(tmp_path / "last.npy", x)
    np.save(tmp_path / "first.npy", x.transpose(0, 3, 1, 2))
    last, first = Array(str(tmp_path / "last.npy")), Array(str(tmp_path / "first.npy"))
    assert last.spec == Spec((3, 28, 28), 0, "unit")
    assert equal(last.splits["train"].x, first.splits["train"].x)


# Folders


def test_a_folder_becomes_one_mapped_file_that_later_runs_reuse(tmp_path, cache, monkeypatch):
    folder = pictures(tmp_path / "ä b")
    first = Folder(str(folder), size=32)
    assert first.spec == Spec((3, 32, 32), 0, "unit")
    assert {name: len(split.x) for name, split in first.splits.items()} == {"train": 10, "validation": 1, "test": 1}
    (file,) = cache.iterdir()
    assert file.suffix == ".npy"
    # All colours are there once: 20 i, red, and 255 - 20 i, blue, of a picture of one colour each.
    red = torch.cat([first.splits[name].x[:, 0, 5, 5] for name in ("train", "validation", "test")])
    assert sorted(red.tolist()) == [20 * i for i in range(12)]

    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "build", None)  # nothing is read again
        again = Folder(str(folder), size=32)
        patched.chdir(tmp_path)
        patched.setenv("HOME", str(tmp_path))
        assert Folder("ä b", size=32).fingerprint == Folder("~/ä b", size=32).fingerprint == first.fingerprint
    assert equal(again.splits["train"].x, first.splits["train"].x)

    paint(folder / "05.png", (1, 2, 3))
    changed = Folder(str(folder), size=32)
    assert changed.fingerprint != first.fingerprint
    assert len(list(cache.iterdir())) == 1  # the old file is gone
    os.utime(folder / "05.png", ns=(1, 1))
    assert Folder(str(folder), size=32).fingerprint == changed.fingerprint  # read anew, and found to be the same
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:1000])  # cut short by hand: made anew
    assert equal(Folder(str(folder), size=32).splits["train"].x, changed.splits["train"].x)


def test_sub_folders_are_classes(tmp_path):
    for i in range(10):
        paint(tmp_path / "d" / "red" / "deep" / f"{i}.png", (255, 0, 0))
        paint(tmp_path / "d" / "blue" / f"{i}.png", (0, 0, 255))
    (tmp_path / "d" / "nothing").mkdir()
    (tmp_path / "d" / "notes.txt").write_text("no image")
    data = Folder(str(tmp_path / "d"), size=28)
    assert data.spec == Spec((3, 28, 28), 2, "unit", labels=("blue", "red"))
    batch = data.head("train", 16)
    assert torch.equal(batch["y"] == 1, batch["x"][:, 0, 0, 0] == 1)
    assert 0 < batch["y"].sum() < 16  # well mixed
    paint(tmp_path / "d" / "loose.png")
    with pytest.raises(UserError, match=r"loose\.png.*beside sub-folders"):
        Folder(str(tmp_path / "d"))


def test_pixels_of_all_kinds_become_eight_bits(tmp_path):
    for i in range(3):
        paint(tmp_path / "gray" / f"{i}.png", 90, mode="L")
    ramp = np.full((20, 20), 0x8000, np.uint16)
    Image.fromarray(ramp).save(tmp_path / "gray" / "sixteen.png")
    gray = Folder(str(tmp_path / "gray"), size=28)
    assert gray.spec.shape == (1, 28, 28)
    x = torch.cat([split.x for split in gray.splits.values()])
    assert sorted(x[:, 0, 3, 3].tolist()) == [90, 90, 90, 128]
    assert Folder(str(tmp_path / "gray"), size=28, channels=3).spec.shape == (3, 28, 28)

    paint(tmp_path / "odd" / "clear.png", (0, 0, 0, 0), mode="RGBA")
    paint(tmp_path / "odd" / "a.jpg", (10, 10, 10))
    paint(tmp_path / "odd" / "b.gif", 0, mode="P")
    paint(tmp_path / "odd" / "c.webp", (10, 10, 10))
    paint(tmp_path / "odd" / "d.BMP", (10, 10, 10))
    x = torch.cat([split.x for split in Folder(str(tmp_path / "odd"), size=28).splits.values()])
    assert x.shape == (5, 3, 28, 28)
    assert (x[:, :, 0, 0] == 255).all(1).sum() == 1  # what is transparent lies over white


def test_images_are_cut_to_their_centre(tmp_path):
    wide = Image.new("L", (90, 30), 0)
    wide.paste(255, (30, 0, 60, 30))
    (tmp_path / "d").mkdir()
    for i in range(3):
        wide.save(tmp_path / "d" / f"{i}.png")
    assert (
        Folder(str(tmp_path / "d"), size=28).splits["train"].x.min() > 250
    )  # Lanczos sees a little of the dark beside


@pytest.mark.parametrize("smaller", [True, False])
def test_bad_images_are_named(tmp_path, smaller):
    folder = pictures(tmp_path / "d")
    whole = paint(tmp_path / "noise.png", size=(200, 200)).read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "03.png")
    (folder / "03.png").write_bytes((folder / "03.png").read_bytes()[:2000])
    with pytest.raises(UserError, match=r"d/03\.png is truncated$"):
        Folder(str(folder))
    (folder / "01.png").write_text("hello")
    (folder / "02.jpg").write_bytes(b"")
    (folder / "04.png").unlink()
    (folder / "04.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"d/01\.png is no image.*, and 2 more of 13 files are bad$") as caught:
        Folder(str(folder))
    assert "\n" not in str(caught.value)
    # A head that claims 9,000 x 9,000 pixels, or 60,000 x 60,000, with the right checksum.
    bomb = bytearray(whole)
    side = 9_000 if smaller else 60_000
    bomb[16:24] = side.to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    for name in ("01.png", "02.jpg", "03.png", "04.png"):
        (folder / name).unlink()
    (folder / "01.png").write_bytes(bytes(bomb))
    with pytest.raises(UserError, match=r"d/01\.png claims .*pixels"):
        Folder(str(folder))
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="no image in"):
        Folder(str(tmp_path / "none"))
    with pytest.raises(UserError, match="is a file, not a folder"):
        Folder(str(tmp_path / "noise.png"))
    assert not list((tmp_path / "root" / "genlab-cache").glob("*.tmp"))


def test_a_cache_that_cannot_be_written_goes_to_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path / "file"))  # no folder can be made below a file
    Folder(str(pictures(tmp_path / "d")), size=28)
    assert len(list((tmp_path / "cache" / "genlab" / "genlab-cache").iterdir())) == 1


# Larger than the device


def test_data_over_the_limit_stay_in_host_memory(tmp_path):
    """The device "meta" stands for another one: its tensors have shapes and no values."""
    for data in (Folder(str(pictures(tmp_path / "d")), size=28), Gaussian2D(n=20), Pairs(Gaussian2D(n=20))):
        data.to("meta", limit=0)
        assert data.splits["train"].x.device.type == "cpu"
        batch = Stream(data, 4, seed=0)(0)
        assert {value.device.type for value in batch.values()} == {"meta"}
        assert data.real("test", 2).device.type == "meta"
        data.to("meta", limit=10**9)
        assert data.splits["train"].x.device.type == "meta"


# All families


@pytest.mark.parametrize("model", [model for model in MODELS if model != "boltzmann"])
@pytest.mark.parametrize("width", [1, 3])
def test_every_family_runs_on_tables_of_any_width(model, width, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures_module, "POINTS", 50)
    np.save(tmp_path / "t.npy", values(60)[:, [2, 0, 1][:width]])
    data = Array(str(tmp_path / "t.npy"))
    run(model, Pairs(data) if model == "cyclegan" else data)


@pytest.mark.parametrize("model", [model for model in MODELS if model != "boltzmann"])
def test_every_family_runs_on_colour(model, tmp_path):
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
        if isinstance(family, Density) and not data.spec.is_image:
            assert family.log_prob(data.head("test", 2)["x"]).isfinite().all()
    if not data.spec.is_image:
        drawn = snapshot(family, data)
        wanted = [isinstance(family, kind) for kind in (Sampler, Reconstructor, Translator)]
        assert len(drawn) == sum(wanted)
        assert all(picture.ndim == 3 and picture.dtype == np.uint8 for picture in drawn.values())


@pytest.mark.parametrize("model", ["vae", "cyclegan"])
def test_measures_do_not_depend_on_the_units_of_a_table(model, tmp_path):
    found = []
    for scale in (1.0, 1024.0):  # a power of two: no digit changes
        np.save(tmp_path / "t.npy", values(60)[:, :3] * scale)
        data = Array(str(tmp_path / "t.npy"))
        data = Pairs(data) if model == "cyclegan" else data
        found.append(evaluator(data, torch.device("cpu"), 0)(built(model, data)[0].eval()))
    assert found[0].keys() == found[1].keys() != set()
    assert found[0] == pytest.approx(found[1], rel=1e-4)  # single precision


def test_a_flow_of_one_column_inverts():
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


def test_a_table_goes_through_train_sample_and_resume_from_elsewhere(cli, tmp_path, monkeypatch):
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
    assert cli("sample", "run=../run", "n=4")[0] == 0
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
    assert "data are not those that this run began with" in err
    (tmp_path / "my (table).csv").unlink()
    assert cli("sample", "run=../run", "n=4")[0] == 0  # samples need no table


def test_a_path_that_is_missing_is_one_line(cli):
    for data in ("folder", "array"):
        code, out, err = cli("train", f"data={data}", "hydra.run.dir=out/run")
        assert (code, out) == (2, "")
        assert err == "genlab: 'data.path' needs a value: add data.path=...\n"
        assert cli("train", f"data={data}", "data.path=~/absent", "hydra.run.dir=out/run")[2].count("\n") == 1


def test_two_folders_are_two_domains(tmp_path):
    here, there = pictures(tmp_path / "a"), pictures(tmp_path / "b", n=20)
    composed = config("model=cyclegan", "data=folder", f"data.path={here}", f"data.other={there}", "data.size=28")
    data = build.data(composed)
    assert isinstance(data, Pairs)
    assert not data.known
    assert (len(data.a), len(data.b)) == (10, 16)
