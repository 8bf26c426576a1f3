"""Series are cut into windows without leaks, scaled on training steps, and go on with the source's times."""

from typing import cast

import numpy as np
import pytest
import torch
from conftest import equal
from series_files import DAY, clock_of, every, lines, long, numbers, rows, source_of, steps_of, wide, words_of

from genlab.data.base import Spec, Stream, data_root
from genlab.data.columns.codes import MinMaxCode
from genlab.data.columns.quantiles import Quantiles
from genlab.data.series.series import Series
from genlab.data.series.source import Clock
from genlab.data.series.windows import Windows, parted
from genlab.errors import UserError
from genlab.metrics.series.channels import values

pytest.importorskip("pyarrow")


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
            words = [words_of(data, "state")[int(k)] for k in window[2]]
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
    rows_ = {cast(Windows, split.x).rows.data_ptr() for split in data.splits.values()}
    assert len(rows_) == 1


def test_scaling_is_fitted_on_training_steps_and_inverted_for_all(tmp_path):
    level = numbers(300)
    level[40] = 99.9  # the fourth of 25 blocks, which validation has
    cells = [[i, v] for i, v in enumerate(level)]
    lines(tmp_path / "t.csv", "time,level", cells)
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
    steps = cast(Windows, data.splits["train"].x).rows.double()
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
    data = Series(lines(tmp_path / "t.csv", "id,time,word", cells), id="id", window=6)
    words = words_of(data, "word")
    assert [words[int(k)] for k in every(data)[0, 0]] == ["p", "p", "p", "q", "q", "q"]
    cells[6][2] = cells[7][2] = cells[8][2] = cells[9][2] = cells[10][2] = cells[11][2] = ""
    with pytest.raises(UserError, match=r"line 8: series 'b' has no value of 'word'"):
        Series(lines(tmp_path / "t.csv", "id,time,word", cells), id="id", window=6)


def test_uneven_steps_are_refused_or_resampled(tmp_path):
    minutes = [0, 10, 20, 31, 60, 70, 185, *range(190, 600, 5)]
    cells = [[DAY + m, m, ("p", "q")[m % 2]] for m in minutes]
    file = lines(tmp_path / "t.csv", "time,level,word", cells)
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
    assert clock_of(data).text(2) == ["2024-01-01T10:00", "2024-01-01T11:00"]
    even = Series(file, window=2, exclude=["time"])  # rows as they are
    assert sum(len(split.x) for split in even.splits.values()) > 50
    assert source_of(even).clock is None
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

    file = lines(tmp_path / "t.csv", "when,level", cells)
    clock = read_table(file, Choice(), time="when").source.clock
    assert clock is not None
    assert clock.text(3) == following
    assert Clock.of(clock.state()).text(3) == following


def test_series_that_begin_together_are_continued_from_there(tmp_path):
    data = Series(long(tmp_path / "t.csv"), id="station", time="hour", window=9)
    assert clock_of(data).text(2) == ["2024-01-01T00:00", "2024-01-01T01:00"]


def test_the_fingerprint_changes_with_cells_and_windows_only(tmp_path):
    file = wide(tmp_path / "t.csv")
    first = Series(file, window=6).fingerprint
    assert Series(file, window=6).fingerprint == first
    assert Series(file, window=7).fingerprint != first
    assert Series(file, window=6, numeric="minmax").fingerprint != first
    text = file.read_text()
    file.write_text(text[:-4] + "off\n" if text.endswith("on\n") else text.replace(",6,", ",7,", 1))
    assert Series(file, window=6).fingerprint != first


def test_the_static_columns_of_samples_are_constant(tmp_path):
    data = Series(long(tmp_path / "t.csv"), id="station", time="hour", window=9)
    assert source_of(data).static == ("place", "kind")
    drawn = values(data.spec, data.decode(torch.randn(20, *data.spec.shape)))
    assert (drawn[:, 2] == drawn[:, 2, :1]).all()
    assert (drawn[:, 1] != drawn[:, 1, :1]).any()
    assert len(drawn[:, 2, 0].unique()) == 2


@pytest.mark.real_data
def test_the_stocks_of_timegan():
    data = Series(data_root() / "series" / "stock.csv")
    assert data.spec.shape == (6, 24)
    assert sum(len(split.x) for split in data.splits.values()) == 2692 + 255 + 255
    assert steps_of(data).columns[-1].name == "Volume"
    file = np.loadtxt(data_root() / "series" / "stock.csv", delimiter=",", skiprows=1)
    real = {tuple(step) for step in every(data).transpose(1, 2).flatten(0, 1).tolist()}
    assert real <= {tuple(step) for step in file.tolist()}  # all digits
    random = Series(data_root() / "series" / "stock.csv", split="random", numeric="minmax")
    assert sum(len(split.x) for split in random.splits.values()) == 3685 - 23
