"""Bad files and options of series are refused in one line with the place and what to do."""

from typing import Any

import numpy as np
import pytest
from series_files import array, lines, long, ts

from genlab.data.series.series import Series
from genlab.errors import UserError

pytest.importorskip("pyarrow")


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
        (
            "T00:00,0.1,",
            "T00:00,inf,",
            {"types": {"level": "real"}},
            r"line 2, column 'level': inf is not a finite",
        ),
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


def test_infinite_numbers_of_parquet_files_and_times_of_one_value_are_refused_by_row(tmp_path):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": [1.0, 2.5, float("-inf"), 3.0] * 9}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"t\.parquet: row 3, column 'a': -inf is not a finite number"):
        Series(tmp_path / "t.parquet", window=2)
    file = lines(tmp_path / "t.csv", "time,level", [["2024-01-01", i * i] for i in range(30)])
    with pytest.raises(UserError, match=r"line 3, column 'time': the time of .* stands twice; .* data\.id"):
        Series(file, window=2)
