"""Series from files are read completely or refused by line and column, cut without leaks, and written back."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import equal, trainer
from series_files import DAY, array, lines, long, numbers, ts, wide

from genlab.commands.evaluate import read_samples
from genlab.data.base import Dataset, Spec, Stream, data_root
from genlab.data.columns.codes import MinMaxCode
from genlab.data.columns.quantiles import Quantiles
from genlab.data.pairs import Pairs
from genlab.data.series.series import Series
from genlab.data.series.source import Clock
from genlab.data.series.windows import Windows, parted
from genlab.data.series.write import array as as_array
from genlab.data.series.write import arrow, suffix, write
from genlab.data.sines import Sines
from genlab.errors import UserError
from genlab.metrics.series.channels import values

pytest.importorskip("pyarrow")


def rows(path: Path, delimiter: str = ",") -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def every(data: Dataset, split: str = "train") -> torch.Tensor:
    """All windows of a split in units, one number for each cell: (N, C, T)."""
    return values(data.spec, data.real(split, len(data.splits[split].x)))


# Sines


def test_sines_are_those_of_the_formula_and_the_same_in_every_run():
    data, again = Sines(n=200), Sines(n=200)
    assert data.spec.shape == (5, 24)
    assert data.spec.layout == "sequence"
    assert [len(data.splits[name].x) for name in ("train", "validation", "test")] == [160, 20, 20]
    assert equal(data.splits["test"].x, again.splits["test"].x)
    assert data.fingerprint == again.fingerprint
    assert Sines(n=200, seed=1).fingerprint != data.fingerprint
    real = data.real("train", 160)
    assert 0 <= real.min() <= real.max() <= 1
    # A sine of frequency f fulfils s(j+1) + s(j-1) = 2 cos(f) s(j) at every step.
    s = 2 * real - 1
    ratio = ((s[..., 2:] + s[..., :-2]) / (2 * s[..., 1:-1])).clamp(-1, 1)
    assert (ratio - ratio.median(-1, keepdim=True).values)[s[..., 1:-1].abs() > 0.3].abs().max() < 1e-5
    f = ratio.median(-1).values.arccos()
    assert f.max() < 0.101
    assert f.mean() == pytest.approx(0.05, abs=0.005)
    assert s[..., 0].asin().max() < 0.1 + 1e-6
    torch.testing.assert_close(data.decode(data.head("train", 9)["x"]), real[:9], atol=1e-6, rtol=0)


# Windows and splits


def test_windows_are_the_rows_of_the_file_and_no_step_is_in_two_splits(tmp_path):
    data = Series(wide(tmp_path / "t.csv", 200), window=5, blocks=20)
    cells = rows(tmp_path / "t.csv")[1:]
    place = {tuple(row[1:]): i for i, row in enumerate(cells)}
    assert len(place) == 200  # rows differ, so each is known by its cells
    days = {row[0] for row in cells}
    assert len(days) == 200
    steps = {}
    for split in ("train", "validation", "test"):
        starts = []
        for window in every(data, split):
            words = [data.spec.steps.column("state").words[int(k)] for k in window[2]]
            # Numbers of one decimal and whole ones are exact.
            texts = [(str(float(a)), str(int(b)), word) for a, b, word in zip(*window[:2].tolist(), words, strict=True)]
            found = [place[text] for text in texts]
            assert found == list(range(found[0], found[0] + 5))
            starts.append(found[0])
        assert len(set(starts)) == len(starts)
        steps[split] = {start + i for start in starts for i in range(5)}
    assert not steps["train"] & (steps["validation"] | steps["test"])
    assert not steps["validation"] & steps["test"]
    # 20 blocks of 10 steps, 2 each for validation and tests: 6 windows in a block.
    assert [len(data.splits[name].x) for name in ("validation", "test")] == [12, 12]
    assert len(steps["train"]) == 160


def test_blocks_spread_the_held_out_ones_over_time():
    parts = parted(np.array([3685]), None, "auto", 24, 1, 50, 0.1, 0.1).parts
    for name, first in (("validation", 2), ("test", 7)):
        rows_ = np.sort(parts[name].rows)
        blocks = np.split(rows_, np.flatnonzero(np.diff(rows_) > 1) + 1)
        assert [len(block) in (73, 74) for block in blocks] == [True] * 5
        starts = [block[0] * 50 / 3685 for block in blocks]  # in blocks
        assert starts == pytest.approx([first + 10 * i for i in range(5)], abs=0.01)
    assert len(parts["train"].rows) == 3685 - sum(len(parts[name].rows) for name in ("validation", "test"))


def test_whole_series_are_held_out_if_there_are_several(tmp_path):
    names = [f"s{i}" for i in range(10)]
    data = Series(long(tmp_path / "t.csv", dict.fromkeys(names, 12)), id="station", time="hour", window=8, stride=2)
    assert [len(data.splits[name].x) for name in ("train", "validation", "test")] == [24, 3, 3]  # 3 windows a series
    cells = rows(tmp_path / "t.csv")[1:]
    whose = {}
    for row in cells:
        whose.setdefault(row[0], []).append(float(row[2]))
    found = {}
    for split in ("train", "validation", "test"):
        for window in every(data, split)[:, 0].tolist():
            own = [n for n, series in whose.items() for i in (0, 2, 4) if series[i : i + 8] == window]
            assert len(own) == 1
            found.setdefault(own[0], set()).add(split)
    assert len(found) == 10
    assert all(len(splits) == 1 for splits in found.values())


def test_random_windows_leak_and_a_line_says_so(tmp_path):
    file = wide(tmp_path / "t.csv")
    data = Series(file, window=10, split="random")
    assert sum(len(split.x) for split in data.splits.values()) == 111
    assert any("leak" in line for line in data.notes)
    assert not any("leak" in line for line in Series(file, window=10).notes)
    assert not any("leak" in line for line in Series(file, window=10, stride=10, split="random").notes)
    # The steps are stored once, whatever the split.
    rows_ = {split.x.rows.data_ptr() for split in data.splits.values()}  # type: ignore[attr-defined]
    assert len(rows_) == 1


def test_scaling_is_fitted_on_training_steps_and_inverted_for_all(tmp_path):
    level = numbers(300)
    level[40] = 99.9  # the fourth of 25 blocks, which validation has
    cells = [[i, v] for i, v in enumerate(level)]
    lines(tmp_path / "t.csv", "time,level", cells)  # type: ignore[arg-type]
    for numeric in ("minmax", "standard"):
        data = Series(tmp_path / "t.csv", window=6, numeric=numeric)
        train = data.head("train", len(data))["x"]
        if numeric == "minmax":
            assert (train.min(), train.max()) == (0, 1)
            assert data.head("validation", 100)["x"].max() > 1
            assert every(data, "validation").max() == 99.9
        known = set(level.tolist())
        for split in ("train", "validation", "test"):
            assert set(every(data, split).unique().tolist()) <= known
    steps = data.splits["train"].x.rows.double()  # type: ignore[attr-defined]
    assert steps.mean() == pytest.approx(0, abs=1e-6)
    assert steps.std(correction=0) == pytest.approx(1, abs=1e-6)


def test_minmax_maps_training_values_to_the_unit_interval_and_back():
    v = np.array([3.0, -2.0, 8.0, 5.5])
    code = MinMaxCode.fit(Quantiles.fit(v), v)
    x = code.encode(torch.tensor([-2.0, 8.0, 3.0, 18.0], dtype=torch.float64), None)
    assert x[:, 0].tolist() == [0.0, 1.0, 0.5, 2.0]
    assert code.decode(x).tolist() == [-2.0, 8.0, 3.0, 18.0]
    assert MinMaxCode.fit(Quantiles.fit(v[:1]), v[:1]).decode(torch.zeros(1, 1)).tolist() == [3.0]


def test_windows_act_as_the_tensor_that_they_stand_for():
    steps = torch.arange(20.0).view(10, 2)
    windows = Windows(steps, torch.tensor([0, 3, 7]), 3)
    whole = steps.unfold(0, 3, 1)[[0, 3, 7]]  # (3, 2, 3)
    assert tuple(windows.shape) == (3, 2, 3)
    assert windows.size(0) == len(windows) == 3
    assert equal(windows[:2], whole[:2])
    assert equal(windows.index_select(0, torch.tensor([2, 0])), whole[[2, 0]])
    assert equal(windows.to("cpu")[:], whole)
    assert windows.nbytes < 10 * 2 * 4 + 3 * 8 + 1


def test_overlapping_windows_do_not_multiply_memory_and_stream_in_batches(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(1, 4000, 2)))
    data = Series(tmp_path / "a.npy", window=100)
    assert sum(split.x.nbytes for split in data.splits.values()) < 4000 * (2 * 4 + 8)
    batch = Stream(data, 6, seed=0)(3)
    assert batch["x"].shape == (6, 2, 100)
    assert equal(batch["x"], Stream(data, 6, seed=0)(3)["x"])
    assert equal(torch.cat([Stream(data, 6, 0, parts=2)(3, part)["x"] for part in (0, 1)]), batch["x"])


# Missing values, times


def test_gaps_are_interpolated_kept_or_refused(tmp_path):
    file = wide(tmp_path / "t.csv", missing=True)
    data = Series(file, window=6)
    texts = [row[1] for row in rows(file)[1:]]
    known = np.array([i for i, text in enumerate(texts) if text])
    line = np.interp(np.arange(120), known, [float(texts[i]) for i in known]).round(1)
    found = {tuple(window) for split in data.splits for window in every(data, split)[:, 0].tolist()}
    assert found <= {tuple(line[i : i + 6]) for i in range(115)}
    assert any("filled in" in note and "of 'level'" in note for note in data.notes)
    assert data.spec.shape == (4, 6)  # level, count, two words
    states = [row[3] for row in rows(file)[1:]]
    assert states[9] == "?"
    kept = Series(file, window=6, gaps="keep")
    assert kept.spec.shape == (7, 6)  # a flag of two channels, and a third word
    gone = sum(every(kept, split).isnan().any(1).any(1).sum() for split in kept.splits)
    assert gone > 0
    assert Spec.of(kept.spec.state()) == kept.spec
    with pytest.raises(UserError, match=r"t\.csv: line 6, column 'level': the value is missing \(and 1\d more\); data"):
        Series(file, window=6, gaps="refuse")


def test_words_of_a_gap_are_the_last_ones_of_their_series(tmp_path):
    cells = [[s, i, w] for s in "abc" for i, w in enumerate(["", "p", "?", "q", "NA", "q"])]
    data = Series(lines(tmp_path / "t.csv", "id,time,word", cells), id="id", window=6)  # type: ignore[arg-type]
    column = data.spec.steps.columns[0]
    assert [column.words[int(k)] for k in every(data)[0, 0]] == ["p", "p", "p", "q", "q", "q"]
    cells[6][2] = cells[7][2] = cells[8][2] = cells[9][2] = cells[10][2] = cells[11][2] = ""
    with pytest.raises(UserError, match=r"line 8: series 'b' has no value of 'word'"):
        Series(lines(tmp_path / "t.csv", "id,time,word", cells), id="id", window=6)  # type: ignore[arg-type]


def test_uneven_steps_are_refused_or_resampled(tmp_path):
    minutes = [0, 10, 20, 31, 60, 70, 185, *range(190, 600, 5)]
    cells = [[DAY + m, m, ("p", "q")[m % 2]] for m in minutes]
    file = lines(tmp_path / "t.csv", "time,level,word", cells)  # type: ignore[arg-type]
    with pytest.raises(
        UserError, match=r"line 3, column 'time': the steps are uneven, 10 min where most .* 5 min.*=5min"
    ):
        Series(file, window=2)
    data = Series(file, window=2, resample="1h", blocks=3, types={"level": "real"})
    means = [np.mean([m for m in minutes if m // 60 == h]) for h in range(10) if any(m // 60 == h for m in minutes)]
    assert 2 not in {m // 60 for m in minutes}  # an hour without a step is interpolated
    means.insert(2, (means[1] + means[2]) / 2)
    found = sorted({round(v, 3) for split in data.splits for v in every(data, split)[:, 0].flatten().tolist()})
    assert set(found) <= {round(float(np.round(v)), 3) for v in means}
    assert data.spec.source.clock.text(2) == ["2024-01-01T10:00", "2024-01-01T11:00"]
    even = Series(file, window=2, exclude=["time"])  # rows as they are
    assert sum(len(split.x) for split in even.splits.values()) > 50
    assert even.spec.source.clock is None
    for rule, message in (("1x", "units are"), ("0h", "not a rule"), ("5ms", "finer than the times")):
        with pytest.raises(UserError, match=message):
            Series(file, window=2, resample=rule)


@pytest.mark.parametrize(
    ("times", "following"),
    [
        (["2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29"], ["2024-03-31", "2024-04-30", "2024-05-31"]),
        (["15.01.2023", "15.04.2023", "15.07.2023", "15.10.2023"], ["15.01.2024", "15.04.2024", "15.07.2024"]),
        (["2024-02-28 23:00", "2024-02-29 01:00"], ["2024-02-29 03:00", "2024-02-29 05:00", "2024-02-29 07:00"]),
        (["0.1", "0.2", "0.3", "0.4"], ["0.5", "0.6", "0.7"]),
        (["7", "9", "11"], ["13", "15", "17"]),
    ],
)
def test_times_go_on_with_the_spacing_and_the_format_of_the_source(tmp_path, times, following):
    cells = [[time, value] for time, value in zip(times * 1, numbers(len(times)), strict=True)]
    from genlab.data.series.records import Choice
    from genlab.data.series.tables import read_table

    file = lines(tmp_path / "t.csv", "when,level", cells)  # type: ignore[arg-type]
    clock = read_table(file, Choice(), time="when").source.clock
    assert clock is not None
    assert clock.text(3) == following
    assert Clock.of(clock.state()).text(3) == following


def test_series_that_begin_together_are_continued_from_there(tmp_path):
    together = Series(long(tmp_path / "t.csv"), id="station", time="hour", window=9)
    assert together.spec.source.clock.text(2) == ["2024-01-01T00:00", "2024-01-01T01:00"]


# Formats


def round_trip(data: Dataset, folder: Path, y: torch.Tensor | None = None, n: int = 4) -> tuple[Path, torch.Tensor]:
    units = data.real("train", n)
    path = folder / f"samples{suffix(data.spec)}"
    assert write(
        path, data.spec, [(units[:3], None if y is None else y[:3]), (units[3:], None if y is None else y[3:])]
    )
    again = read_samples(path, data)
    close = {"rtol": 1e-7, "atol": 1e-6} if data.spec.source.dtype else {"rtol": 0, "atol": 0}  # arrays of float32
    torch.testing.assert_close(values(data.spec, again), values(data.spec, units), equal_nan=True, **close)
    return path, units


def test_long_tables_are_written_with_ids_times_and_classes_in_place(tmp_path):
    file = long(tmp_path / "t.csv", delimiter=";")
    data = Series(file, id="station", time="hour", label="kind", window=9)
    assert data.spec.labels == ("x", "y")
    assert data.spec.source.static == ("place",)
    y = data.splits["train"].y[:4]
    path, units = round_trip(data, tmp_path, y)
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
    path, _ = round_trip(data, tmp_path, data.splits["train"].y[:4])
    with np.load(path) as written:
        assert {name: each.shape for name, each in written.items()} == {"x": (4, 12, 3), "y": (4,)}
        assert written["y"].dtype.kind == "i"
        assert (written["x"][:, :, 2] == 1.5).all()
    np.save(tmp_path / "t.npy", (x * 10).astype(np.int32))
    whole = Series(tmp_path / "t.npy", window=6, stride=6)
    path, units = round_trip(whole, tmp_path)
    assert np.load(path).dtype == np.int32
    assert whole.spec.steps.columns[0].kind == "integer"


def test_ts_files_are_read_and_written(tmp_path):
    x = array(channels=2).astype(np.float64)
    x[:, :, 1] = x[:, :, 0] * 2
    x[3, 4, 0] = np.nan
    data = Series(ts(tmp_path / "t.ts", x, ["up", "down"] * 10), window=12)
    assert data.spec.labels == ("down", "up")
    assert data.spec.shape == (2, 12)
    path, _ = round_trip(data, tmp_path, data.splits["train"].y[:4])
    again = Series(path, window=12, validation=0.25, test=0.25, stride=1, split="id")
    assert again.spec.source.title == "Walks"
    assert again.spec.labels == data.spec.labels
    assert not Series(ts(tmp_path / "u.ts", x), window=12).spec.classes


def test_a_frame_of_long_form_has_the_columns_of_the_source(tmp_path):
    data = Series(long(tmp_path / "t.csv"), id="station", time="hour", label="kind", window=9)
    table = arrow(data.spec, data.real("train", 2), torch.tensor([1, 0]))
    assert table.column_names == ["station", "hour", "level", "sky", "place", "kind"]
    assert table.column("kind").to_pylist() == ["y"] * 9 + ["x"] * 9
    assert str(table.schema.field("hour").type).startswith("timestamp")


# Refusals


def test_the_static_columns_of_samples_are_constant(tmp_path):
    data = Series(long(tmp_path / "t.csv"), id="station", time="hour", window=9)
    assert data.spec.source.static == ("place", "kind")
    drawn = values(data.spec, data.decode(torch.randn(20, *data.spec.shape)))
    assert (drawn[:, 2] == drawn[:, 2, :1]).all()
    assert (drawn[:, 1] != drawn[:, 1, :1]).any()
    assert len(drawn[:, 2, 0].unique()) == 2


def test_series_shorter_than_a_window_are_left_out_and_counted(tmp_path):
    data = Series(long(tmp_path / "t.csv"), id="station", time="hour", window=10)
    assert "1 of 5 series left out: shorter than data.window=10" in data.notes
    with pytest.raises(UserError, match=r"t\.csv: the longest series has 50 steps, fewer than data\.window=51: lower"):
        Series(tmp_path / "t.csv", id="station", time="hour", window=51)
    with pytest.raises(UserError, match=r"series of t\.csv have 9 to 50 steps; .* 9 at most"):
        Series(tmp_path / "t.csv", id="station", time="hour", window=None)


@pytest.mark.parametrize(
    ("find", "replace", "options", "message"),
    [
        (
            "b,2024-01-01T05:00",
            "b,2024-01-01T04:00",
            {},
            r"line 7, column 'hour': the time of the step before stands twice in",
        ),
        (
            "b,2024-01-01T05:00",
            "b,2024-01-01T03:00",
            {},
            r"line 7, column 'hour': the time falls in series 'b'; sort the rows",
        ),
        ("b,2024-01-01T05:00", "b,", {}, r"line 7, column 'hour': the time is missing"),
        ("", "", {"time": "houre"}, r"data\.time: 'houre' is .* did you mean 'hour'"),
        ("b,2024-01-01T05:00", ",2024-01-01T05", {}, r"line 7, column 'station': the id is missing"),
        ("", "", {"id": "statoin"}, r"did you mean 'station'"),
        ("", "", {"columns": ["levl"]}, r"did you mean 'level'"),
        ("", "", {"exclude": ["levl"]}, r"did you mean 'level'"),
        ("", "", {"types": {"levl": "real"}}, r"did you mean 'level'"),
        ("", "", {"types": {"level": "rael"}}, r"did you mean 'real'"),
        ("", "", {"numeric": "min"}, r"data\.numeric"),
        ("", "", {"split": "block"}, r"did you mean 'blocks'"),
        ("", "", {"gaps": "fill"}, r"data\.gaps"),
        ("", "", {"window": 1}, r"data\.window: must be >= 2"),
        ("", "", {"stride": 0}, r"data\.stride: must be >= 1"),
        ("", "", {"blocks": 2}, r"data\.blocks: must be >= 3"),
        ("", "", {"validation": 1.5}, r"data\.validation"),
        ("", "", {"validation": 1.5, "split": "blocks"}, r"data\.validation"),
        ("", "", {"key": "x"}, r"data\.key does not apply to \.csv files"),
        ("", "", {"time": None, "resample": "1h", "exclude": ["hour"]}, r"data\.resample needs times"),
        ("", "", {"label": "sky"}, r"column 'sky': series 'a' has the classes 'dry' and 'wet'"),
        ("", "", {"label": "kind", "id": None}, r"data\.id must tell the series apart"),
        ("", "", {"label": "station"}, r"must be different columns"),
        ("", "", {"id": None}, r"line 42, column 'hour': the time falls; .* name their column with data\.id"),
        ("", "", {"columns": ["station"]}, r"no channel is left"),
        ("", "", {"time": "sky"}, r"column 'sky' .* holds neither numbers nor dates"),
        ("T00:00,0.1,", "T00:00,inf,", {"types": {"level": "real"}}, r"column 'level' is not a column of numbers"),
    ],
)
def test_bad_long_tables_are_refused_in_one_line(tmp_path, find, replace, options, message):
    file = long(tmp_path / "t.csv")
    text = file.read_text()
    assert find in text
    file.write_text(text.replace(find, replace, 1))
    arguments: dict[str, Any] = {"id": "station", "time": "hour", "window": 9, **options}
    with pytest.raises(UserError, match=message) as caught:
        Series(file, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (np.zeros((4, 5)), r"t\.npy has the shape \(4, 5\); series are \(N, T, C\).*x\[None\]"),
        (np.array([[[{}]]], dtype=object), "Python objects"),
        (np.array([[["a"]]]), "holds <U1, not numbers"),
        (np.zeros((0, 5, 2)), "has no numbers"),
        (np.where(np.arange(240).reshape(10, 12, 2) == 77, np.inf, 1.0), r"series 4, step 3, channel 2: inf is not"),
        (
            np.where(np.arange(240).reshape(10, 12, 2) == 77, np.nan, 1.0),
            r"series 4, step 3, column 'channel 2': the va",
        ),
        (np.ones((10, 12, 2)), "all are constants"),
        (np.random.default_rng(0).normal(size=(2, 12, 2)), r"too few for three splits"),
        (np.random.default_rng(0).normal(size=(10, 2, 12)), r"2 steps, fewer than data\.window=12"),
    ],
)
def test_bad_arrays_are_refused_by_series_and_step(tmp_path, made, message):
    np.save(tmp_path / "t.npy", made)
    with pytest.raises(UserError, match=message) as caught:
        Series(tmp_path / "t.npy", window=12, gaps="refuse", blocks=3)
    assert "\n" not in str(caught.value)


def test_more_channels_than_steps_get_a_hint_about_the_axes(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 3, 12))
    np.save(tmp_path / "t.npy", x)
    hint = r"3 steps of 12 channels.*transpose\(0, 2, 1\)"
    notes = Series(tmp_path / "t.npy", window=3).notes
    assert any("transpose(0, 2, 1)" in note for note in notes)
    with pytest.raises(UserError, match=hint):
        Series(tmp_path / "t.npy", window=12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@data\n1,2:3\n", r"line 2: its dimensions have 1 to 2 steps"),
        ("@classLabel true up\n@data\n1,2:\n", r"line 3: the class is missing"),
        ("@classLabel true up\n@data\n1,2:down\n", r"class 'down' is not among"),
        ("@timeStamps true\n@data\n", r"line 1: time stamps in \.ts files are not read"),
        ("@data\n(0,1),(1,2):up\n", r"line 2: time stamps"),
        ("@targetLabel true\n@data\n", r"line 1: numbers to predict"),
        ("@data\n1,x\n", r"line 2, dimension 1: 'x' is not a number"),
        ("@data\n1,2\n3,4:5,6\n", r"line 3 has 2 dimensions, the lines before have 1"),
        ("1,2\n", r"line 1 is no header"),
        ("@problemName a\n", "no line @data"),
        ("@data\n", "has no series"),
        ("@data\n1,inf\n", r"series 1, step 2, channel 1: inf"),
    ],
)
def test_bad_ts_files_are_refused_by_line(tmp_path, text, message):
    (tmp_path / "t.ts").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        Series(tmp_path / "t.ts", window=2)
    assert "\n" not in str(caught.value)


def test_classes_without_a_training_series_are_refused(tmp_path):
    x = array(12, channels=2).astype(np.float64)
    labels = ["up"] * 11 + ["down"]
    one = Series(ts(tmp_path / "t.ts", x, labels), window=12)
    assert one.spec.counts[0] == 1  # the only series of a class is trained on
    with pytest.raises(UserError, match=r"no training window of class 'up'"):
        Series(ts(tmp_path / "t.ts", x[[0, 11, 1]], ["up", "down", "up"]), window=4, split="blocks")
    with pytest.raises(UserError, match=r"all series of t\.ts are of the class 'up'"):
        Series(ts(tmp_path / "t.ts", x, ["up"] * 12), window=12)


# Runs


def test_the_fingerprint_changes_with_cells_and_windows_only(tmp_path):
    file = wide(tmp_path / "t.csv")
    first = Series(file, window=6).fingerprint
    assert Series(file, window=6).fingerprint == first
    assert Series(file, window=7).fingerprint != first
    assert Series(file, window=6, numeric="minmax").fingerprint != first
    text = file.read_text()
    file.write_text(text[:-4] + "off\n" if text.endswith("on\n") else text.replace(",6,", ",7,", 1))
    assert Series(file, window=6).fingerprint != first


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


@pytest.mark.real_data
def test_the_stocks_of_timegan():
    data = Series(data_root() / "series" / "stock.csv")
    assert data.spec.shape == (6, 24)
    assert sum(len(split.x) for split in data.splits.values()) == 2692 + 255 + 255
    assert data.spec.steps.columns[-1].name == "Volume"
    random = Series(data_root() / "series" / "stock.csv", split="random", numeric="minmax")
    assert sum(len(split.x) for split in random.splits.values()) == 3685 - 23
