"""Series are written in the format of their source, read back as they were, and trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import equal, trainer
from series_files import DAY, array, labels_of, long, numbers, rows, source_of, steps_of, ts, wide

from genlab.commands.evaluate import read_samples
from genlab.data.base import Dataset
from genlab.data.pairs import Pairs
from genlab.data.series.given import of_file
from genlab.data.series.series import Series
from genlab.data.series.write import array as as_array
from genlab.data.series.write import arrow, suffix, write
from genlab.metrics.series.channels import values

pytest.importorskip("pyarrow")


def round_trip(data: Dataset, folder: Path, y: torch.Tensor | None = None, n: int = 4) -> tuple[Path, torch.Tensor]:
    units = data.real("train", n)
    path = folder / f"samples{suffix(data.spec)}"
    assert write(
        path, data.spec, [(units[:3], None if y is None else y[:3]), (units[3:], None if y is None else y[3:])]
    )
    again = read_samples(path, data)
    near = 1e-6 if source_of(data).dtype else 0.0  # arrays of float32
    torch.testing.assert_close(values(data.spec, again), values(data.spec, units), equal_nan=True, rtol=near, atol=near)
    return path, units


def test_long_tables_are_written_with_ids_times_and_classes_in_place(tmp_path):
    file = long(tmp_path / "t.csv", delimiter=";")
    data = Series(file, id="station", time="hour", label="kind", window=9)
    assert data.spec.labels == ("x", "y")
    assert source_of(data).static == ("place",)
    y = labels_of(data)[:4]
    path, _ = round_trip(data, tmp_path, y)
    written = rows(path, ";")
    assert written[0] == rows(file, ";")[0] == ["station", "hour", "level", "sky", "place", "kind"]
    assert len(written) == 1 + 4 * 9
    assert [row[0] for row in written[1:]] == [str(i) for i in (1, 2, 3, 4) for _ in range(9)]
    assert [row[1] for row in written[1:10]] == [row[1] for row in written[10:19]]
    source = {tuple(row[2:]) for row in rows(file, ";")}
    assert all(tuple(row[2:]) in source for row in written)
    assert path.name == "samples.csv"
    unconditional, _ = round_trip(data, tmp_path)
    assert rows(unconditional, ";")[0] == ["station", "hour", "level", "sky", "place"]


def test_wide_tables_are_written_with_a_column_of_samples(tmp_path):
    data = Series(wide(tmp_path / "t.csv", missing=True), window=6, gaps="keep")
    path, _ = round_trip(data, tmp_path)
    written = rows(path)
    assert written[0] == ["sample", "day", "level", "count", "state"]
    assert [row[1] for row in written[1:7]] == [f"2024-04-{30 + i}" if i < 1 else f"2024-05-0{i}" for i in range(6)]
    source = {tuple(row[1:]) for row in rows(tmp_path / "t.csv")}
    assert {tuple(row[2:]) for row in written[1:]} <= source


def test_parquet_keeps_names_and_types(tmp_path):
    import pyarrow
    from pyarrow import parquet

    n = 30
    table = pyarrow.table(
        {
            "level": pyarrow.array(numbers(3 * n), pyarrow.float64()),
            "when": pyarrow.array(np.tile(DAY + 60 * np.arange(n), 3).astype("datetime64[ms]")),
            "who": [k for k in (7, 8, 9) for _ in range(n)],
            "count": [i % 5 for i in range(3 * n)],
            "state": [("on", "off")[i % 2] for i in range(3 * n)],
        }
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    data = Series(tmp_path / "t.parquet", id="who", window=10)
    path, _ = round_trip(data, tmp_path)
    written = parquet.read_table(path)
    assert written.column_names == table.column_names
    assert [str(f.type) for f in written.schema] == ["double", "timestamp[ms]", "int64", "int64", "string"]
    assert written.column("who").to_pylist()[::10] == [1, 2, 3, 4]
    assert set(np.diff(written.column("when").to_numpy()[:10])) == {np.timedelta64(3600, "s")}
    same = Series(table, id="who", window=10)  # a frame from Python
    assert equal(same.splits["train"].x[:], data.splits["train"].x[:])
    assert suffix(same.spec) == ".csv"


def test_arrays_are_written_under_the_key_and_type_of_the_source(tmp_path):
    x = array()
    np.savez(tmp_path / "t.npz", x=x, y=np.arange(20) % 2, other=1)
    data = Series(tmp_path / "t.npz", key="x", window=None)
    assert data.spec.shape == (2, 12)  # the third channel is constant
    assert data.spec.counts == (8, 8)
    units = data.real("train", 16)
    back = as_array(data.spec, units)
    assert back.dtype == np.float32
    near = np.abs(back[:, None] - x[None]).max((2, 3)).min(1)
    assert near.max() < 1e-6  # every window is a series of the file, to single precision
    path, _ = round_trip(data, tmp_path, labels_of(data)[:4])
    with np.load(path) as written:
        assert {name: each.shape for name, each in written.items()} == {"x": (4, 12, 3), "y": (4,)}
        assert written["y"].dtype.kind == "i"
        assert (written["x"][:, :, 2] == 1.5).all()
    np.save(tmp_path / "t.npy", (x * 10).astype(np.int32))
    whole = Series(tmp_path / "t.npy", window=6, stride=6)
    path, _ = round_trip(whole, tmp_path)
    assert np.load(path).dtype == np.int32
    assert steps_of(whole).columns[0].kind == "integer"


def test_ts_files_are_read_and_written(tmp_path):
    x = array(channels=2).astype(np.float64)
    x[:, :, 1] = x[:, :, 0] * 2
    x[3, 4, 0] = np.nan
    data = Series(ts(tmp_path / "t.ts", x, ["up", "down"] * 10), window=12)
    assert data.spec.labels == ("down", "up")
    assert data.spec.shape == (2, 12)
    path, _ = round_trip(data, tmp_path, labels_of(data)[:4])
    again = Series(path, window=12, validation=0.25, test=0.25, stride=1, split="id")
    assert source_of(again).title == "Walks"
    assert again.spec.labels == data.spec.labels
    assert not Series(ts(tmp_path / "u.ts", x), window=12).spec.classes


def test_a_frame_of_long_form_has_the_columns_of_the_source(tmp_path):
    data = Series(long(tmp_path / "t.csv"), id="station", time="hour", label="kind", window=9)
    table = arrow(data.spec, data.real("train", 2), torch.tensor([1, 0]))
    assert table.column_names == ["station", "hour", "level", "sky", "place", "kind"]
    assert table.column("kind").to_pylist() == ["y"] * 9 + ["x"] * 9
    assert str(table.schema.field("hour").type).startswith("timestamp")


@pytest.mark.parametrize("model", ["vae", "ddpm", "gan", "flow", "cyclegan"])
def test_models_train_on_mixed_series(tmp_path, model):
    data: Dataset = Series(wide(tmp_path / "t.csv", missing=True), window=6, gaps="keep")
    data = Pairs(data) if model == "cyclegan" else data
    made = trainer(model, data, tmp_path / "run", steps=2)
    made.fit()
    assert made.step == 2


def test_a_run_samples_in_the_format_of_its_source_and_is_kept_from_other_data(tmp_path, cli):
    file = long(tmp_path / "t.csv")
    common = ("trainer.steps=2", "trainer.batch_size=8", "trainer.evaluate_every=0", "trainer.device=cpu")
    options = ("data=series", f"data.path={file}", "data.id=station", "data.label=kind", "data.window=9")
    code, out, err = cli("train", "model=gan", "model.conditional=true", *options, *common, "hydra.run.dir=run")
    assert code == 0, err
    assert "column 'hour' holds the times" in out
    code, out, err = cli("sample", "run=run", "n=3", "y=each", "device=cpu")
    assert code == 0, err
    written = rows(tmp_path / "run" / "samples.csv")
    assert written[0] == ["station", "hour", "level", "sky", "place", "kind"]
    assert [row[5] for row in written[1::9]] == ["x", "y", "x"]
    import genlab

    model = genlab.load("run")
    frame = model.sample(2, seed=0)
    assert list(frame.columns) == written[0]
    assert len(frame) == 18
    assert model.score(frame).shape == (2,)
    text = file.read_text()
    file.write_text(text.replace("wet", "dry", 1))
    code, _, err = cli("train", "resume=run", "trainer.steps=3")
    assert code == 2
    assert "the data differ" in err


def test_sines_run_on_the_command_line_and_load_as_arrays(tmp_path, cli):
    code, _, err = cli(
        "train", "model=vae", "data=sines", "data.n=100", "trainer.steps=2", "trainer.device=cpu",
        "trainer.evaluate_every=0", "hydra.run.dir=run",
    )  # fmt: skip
    assert code == 0, err
    code, _, err = cli("sample", "run=run", "n=3", "device=cpu")
    assert code == 0, err
    with np.load(tmp_path / "run" / "samples.npz") as written:
        assert written["samples"].shape == (3, 24, 5)
    import genlab

    model = genlab.load("run")
    assert model.sample(2).shape == (2, 24, 5)
    assert model.reconstruct(model.sample(2)).shape == (2, 24, 5)


def test_parquet_types_of_series_come_back(tmp_path):
    import pyarrow
    import pyarrow.parquet

    n = 60
    source = pyarrow.table(
        {
            "when": pyarrow.array(np.datetime64("2024-01-01", "ns") + np.arange(n).astype("timedelta64[h]")),
            "level": pyarrow.array(np.sin(np.arange(n)), pyarrow.float32()),
            "count": pyarrow.array([i * 7 % 11 for i in range(n)], pyarrow.int32()),
            "state": pyarrow.array(["on", "off"] * (n // 2)).dictionary_encode(),
        }
    )
    pyarrow.parquet.write_table(source, tmp_path / "t.parquet")
    data = Series(tmp_path / "t.parquet", window=6, blocks=6)
    write(tmp_path / "s.parquet", data.spec, [(data.real("train", 4), None)])
    found = pyarrow.parquet.read_table(tmp_path / "s.parquet")
    for name in ("level", "count", "state", "when"):
        assert (
            found.schema.field(name).type == pyarrow.parquet.read_table(tmp_path / "t.parquet").schema.field(name).type
        )


def test_flags_of_arrays_are_read_back(tmp_path):
    x = np.random.default_rng(0).random((12, 8, 2)) < 0.5
    np.save(tmp_path / "x.npy", x)
    spec = Series(tmp_path / "x.npy", window=8).spec
    found = of_file(tmp_path / "x.npy", spec)
    assert found is not None
    assert torch.equal(values(spec, found), torch.from_numpy(x.transpose(0, 2, 1)).double())
