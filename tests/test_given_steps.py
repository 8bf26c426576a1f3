"""`genlab sample given=FILE` fills gaps in and continues series, and leaves everything that is known as it is."""

import csv

import numpy as np
import pytest
import torch
from series_files import array, long, ts, wide

from genlab.cli import main
from genlab.data.series.partial import read_partial
from genlab.data.series.series import Series
from genlab.data.series.source import Clock
from genlab.errors import UserError
from genlab.evaluation.forecasts import forecasts

pytest.importorskip("pyarrow")
TINY = ("model=ddpm", "model.timesteps=20", "model.sample_steps=2", "model.net.width=8")
FEW = ("trainer.steps=2", "trainer.batch_size=8", "trainer.device=cpu", "trainer.sample_every=0")


def table(path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def stations(tmp_path_factory):
    """A model of a long table with hours, words, a static word and a class."""
    folder = tmp_path_factory.mktemp("stations")
    path = long(folder / "train.csv", dict.fromkeys("abcdefgh", 20))
    data = (f"data.path={path}", "data.id=station", "data.label=kind", "data.window=10")
    assert main(["train", "data=series", *data, *TINY, *FEW, f"hydra.run.dir={folder / 'run'}"]) == 0
    return folder


def test_gaps_are_filled_in_and_series_continued_in_the_files_format(cli, stations):
    rows = table(stations / "train.csv")
    own = [row for row in rows if row["station"] in "ab"]
    own = [row for i, row in enumerate(own) if row["station"] == "a" or i < 26]  # b has 6 steps
    own[3]["level"] = own[4]["sky"] = ""
    given = stations / "given.csv"
    with open(given, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, own[0])
        writer.writeheader()
        writer.writerows(own)
    code, out, err = cli("sample", f"run={stations / 'run'}", f"given={given}", "n=3", f"out={stations / 'out'}")
    assert (code, err) == (0, "")
    assert "14 cells of 2 series drawn 3 times" in out  # 2 gaps, and 4 steps of the three columns
    found = table(stations / "out" / "completed.csv")
    assert len(found) == 30
    assert list(found[0]) == list(rows[0])
    for before, after in zip(own, found, strict=False):
        assert {k: v for k, v in after.items() if before[k]} == {k: v for k, v in before.items() if v}
        assert all(after.values())
    last = found[26:]
    assert [row["station"] for row in last] == ["b"] * 4
    assert len({row["kind"] for row in found[20:]}) == 1
    hours = [np.datetime64(row["hour"]) for row in found[20:]]
    assert set(np.diff(hours)) == {np.timedelta64(60, "m")}
    bounds = table(stations / "out" / "intervals.csv")
    assert len(bounds) == 5  # of numbers only
    assert all(float(row["5 %"]) <= float(row["50 %"]) <= float(row["95 %"]) for row in bounds)
    assert (stations / "out" / "completed.png").is_file()


def test_a_horizon_continues_series_longer_than_the_model(cli, stations):
    arguments = (f"run={stations / 'run'}", f"given={stations / 'train.csv'}", "n=2", "horizon=3")
    code, _, err = cli("sample", *arguments, f"out={stations / 'more'}")
    assert (code, err) == (0, "")
    before, after = table(stations / "train.csv"), table(stations / "more" / "completed.csv")
    assert len(after) == 8 * 23
    assert [row for i, row in enumerate(after) if i % 23 < 20] == before


def test_windows_cover_all_unknown_cells(tmp_path):
    data = Series(wide(tmp_path / "t.csv", 60), window=10, blocks=6)
    rows = (tmp_path / "t.csv").read_text().splitlines()
    cells = [line.split(",") for line in rows[1:]]
    for step in (3, 25):
        cells[step][1] = ""
    (tmp_path / "g.csv").write_text("\n".join([rows[0], *map(",".join, cells)]) + "\n")
    series = read_partial(str(tmp_path / "g.csv"), data.spec, 4)
    assert [known.shape[1] for known in series.known] == [64]
    windows = series.windows(10)
    assert windows == [(0, 0), (0, 24), (0, 54)]
    assert int((~series.known[0]).sum()) == 2 + 4 * 3
    short = read_partial(str(tmp_path / "g.csv"), data.spec)
    assert [int(more) for more in short.more] == [0]
    assert len(series.rows) == 64
    assert series.rows[-4:].tolist() == [-1] * 4


@pytest.mark.parametrize("kind", ["npy", "npz", "ts"])
def test_arrays_come_back_as_arrays(cli, tmp_path, kind):
    x = array(12, 10, 2) + np.random.default_rng(1).normal(size=(12, 10, 2)).astype(np.float32)
    path = tmp_path / f"x.{kind}"
    {"npy": lambda: np.save(path, x), "npz": lambda: np.savez(path, x=x), "ts": lambda: ts(path, x)}[kind]()
    data = f"data.path={path}"
    assert cli("train", "data=series", data, "data.window=10", *TINY, *FEW, f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    gone = x[:2].copy()
    gone[0, 4, 1] = np.nan
    given = tmp_path / f"given.{kind}"
    {"npy": lambda: np.save(given, gone), "npz": lambda: np.savez(given, x=gone), "ts": lambda: ts(given, gone)}[kind]()
    code, out, err = cli("sample", f"run={tmp_path / 'run'}", f"given={given}", "n=2")
    assert (code, err) == (0, "")
    assert "1 cell of 2 series" in out
    completed = tmp_path / "run" / f"completed.{kind}"
    if kind == "ts":
        cells = completed.read_text().splitlines()[-2:]
        assert [len(line.split(":")[0].split(",")) for line in cells] == [10, 10]
        assert "?" not in "".join(cells)
        return
    found = np.load(completed) if kind == "npy" else np.load(completed)["x"]
    assert found.shape == (2, 10, 2)
    assert np.isfinite(found).all()
    assert np.allclose(found[~np.isnan(gone)], gone[~np.isnan(gone)], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("station,", "place_,"), "lacks the column 'station'"),
        (lambda text: text, "has no empty cell; horizon=H continues"),
        (lambda text: text.replace("T03:00", "T03:30", 1), "a step of 1.5 h, where the model learned steps of 1 h"),
        (lambda text: text.replace(",x\n", ",z\n"), "none of x, y"),
        (lambda text: text.replace("dry", "drty"), "has no word 'drty'"),
    ],
)
def test_bad_files_are_refused_in_one_line(cli, stations, tmp_path, change, said):
    (tmp_path / "g.csv").write_text(change((stations / "train.csv").read_text()))
    code, _, err = cli("sample", f"run={stations / 'run'}", f"given={tmp_path / 'g.csv'}", f"out={tmp_path / 'o'}")
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_bad_options_are_refused(cli, stations):
    run = f"run={stations / 'run'}"
    for words, said in (
        (["horizon=3"], "horizon: needs the series"),
        ([f"given={stations / 'train.csv'}", "horizon=10"], "must be between 1 and 9"),
        (["given=nowhere.csv"], "given: there is no file"),
    ):
        code, _, err = cli("sample", run, *words)
        assert code == 2
        assert said in err
    code, _, err = cli("evaluate", run, "horizon=9")
    assert code == 2
    assert "horizon" in err


def test_months_go_on_from_the_last_day(tmp_path):
    days = ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]
    values = np.array(days, "datetime64[D]").astype(np.int64).astype(float)
    column = Series(wide(tmp_path / "t.csv", 60), window=5).spec.source.clock.column  # type: ignore[union-attr]
    month = float(np.datetime64("2024-01", "M").astype(np.int64))
    clock = Clock(column, month, 1.0, True, -1.0)
    assert clock.times(4).tolist() == values.tolist()
    assert clock.after(values[1], 2).tolist() == values[2:].tolist()
    assert Clock(column, 5.0, 2.0).after(7.0, 2).tolist() == [9.0, 11.0]


class Knowing(torch.nn.Module):
    """Completes a walk of equal steps exactly, so its errors are 0."""

    completes_any, completes_inside, conditional = True, True, False

    def __init__(self, spec) -> None:
        super().__init__()
        self.spec = spec

    def complete(self, x, known):
        values = self.spec.decode(x)[:, 0]
        slope = values[:, 1] - values[:, 0]
        exact = values[:, :1] + slope[:, None] * torch.arange(x.shape[2])
        return torch.where(known, x, self.spec.from_units(exact[:, None]))


def test_forecasts_of_a_model_that_knows_the_law_have_no_error(tmp_path):
    np.save(tmp_path / "x.npy", (np.arange(1, 41)[:, None, None] * np.arange(12)[None, :, None]).astype(float))
    data = Series(tmp_path / "x.npy", window=12)
    found, naive = forecasts(Knowing(data.spec), data, "test", 4)
    assert found["forecast_mae"] == pytest.approx(0, abs=1e-4)
    assert found["imputation_crps"] == pytest.approx(0, abs=1e-4)
    assert naive["forecast_mae"] > 0.05
    assert naive["imputation_mae"] == pytest.approx(0, abs=1e-4)  # a straight line is right here


def test_families_that_cannot_be_given_steps_say_so(cli, tmp_path):
    np.save(tmp_path / "x.npy", array(12, 10, 2))
    arguments = ("data=series", f"data.path={tmp_path / 'x.npy'}", "data.window=10", "model=vae", *FEW)
    assert cli("train", *arguments, f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    code, _, err = cli("sample", f"run={tmp_path / 'run'}", f"given={tmp_path / 'x.npy'}", "horizon=2")
    assert code == 2
    assert "a VAE cannot be given steps" in err


def test_files_without_the_models_columns_are_refused(tmp_path):
    spec = Series(wide(tmp_path / "t.csv", 60), window=5).spec
    (tmp_path / "g.csv").write_text("other\n1\n")
    with pytest.raises(UserError, match="none of the columns"):
        read_partial(str(tmp_path / "g.csv"), spec)


def test_known_numbers_of_arrays_keep_their_digits_and_types(cli, tmp_path):
    ticks = 1_700_000_000_000_000_000 + 7 * np.arange(12 * 10 * 2).reshape(12, 10, 2)
    levels = np.random.default_rng(0).integers(0, 50, (12, 10, 1))
    x = np.concatenate([ticks, levels], axis=2)
    np.savez(tmp_path / "x.npz", x=x, cls=np.array(list("abab" * 3)))
    data = ("data=series", f"data.path={tmp_path / 'x.npz'}", "data.window=10", "data.label=cls")
    assert cli("train", *data, *TINY, *FEW, "model.conditional=true", f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    np.savez(tmp_path / "g.npz", x=x[:3], cls=np.array(list("aba")))
    code, _, err = cli("sample", f"run={tmp_path / 'run'}", f"given={tmp_path / 'g.npz'}", "n=2", "horizon=3")
    assert (code, err) == (0, "")
    with np.load(tmp_path / "run" / "completed.npz") as found:
        assert found["x"].dtype == np.int64
        assert np.array_equal(found["x"][:, :10], x[:3])
        assert found["x"].shape == (3, 13, 3)
        assert found["cls"].tolist() == list("aba")
    code, _, err = cli("sample", f"run={tmp_path / 'run'}", f"given={tmp_path / 'g.npz'}", "horizon=3", "y=nope")
    assert code == 2
    assert "nope" in err


def test_static_columns_stay_constant_and_odd_cells_are_kept(stations, cli):
    rows = table(stations / "train.csv")[:20]
    for row in rows:
        row["note"] = "ł"
    rows[5]["place"] = rows[6]["level"] = ""
    rows[7]["level"] = "1000"
    given = stations / "static.csv"
    with open(given, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    code, out, err = cli(
        "sample", f"run={stations / 'run'}", f"given={given}", "n=2", "horizon=2", f"out={stations / 's'}"
    )
    assert (code, err) == (0, "")
    assert "column 'level' has 1 values outside of" in out
    assert "first in line 9" in out
    found = table(stations / "s" / "completed.csv")
    assert len({row["place"] for row in found}) == 1
    assert [row["note"] for row in found] == ["ł"] * 20 + [""] * 2
    assert found[7]["level"] == "1000"


def test_what_is_learnt_as_missing_leaves_values_in_the_intervals(cli, tmp_path):
    wide(tmp_path / "t.csv", 80, missing=True)
    data = ("data=series", f"data.path={tmp_path / 't.csv'}", "data.window=8", "data.gaps=keep")
    assert cli("train", *data, *TINY, *FEW, f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    code, _, err = cli("sample", f"run={tmp_path / 'run'}", f"given={tmp_path / 't.csv'}", "n=6")
    assert (code, err) == (0, "")
    bounds = [row for row in table(tmp_path / "run" / "intervals.csv") if row["50 %"]]
    found = table(tmp_path / "run" / "completed.csv")
    for row in bounds:
        low, high = float(row["5 %"]), float(row["95 %"])
        assert low - 1e-6 <= float(found[int(row["step"]) - 1][row["column"]]) <= high + 1e-6
    missing = sum(row["state"] in ("", "?") for row in found)
    assert missing == 0


def test_months_of_a_file_must_follow_one_another(tmp_path):
    ends = np.arange(np.datetime64("2018-01"), np.datetime64("2024-01")) + 1
    days = ends.astype("datetime64[D]") - 1
    values = np.random.default_rng(0).normal(size=len(days)).round(2)
    lines = [f"{day},{value}" for day, value in zip(days, values, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["day,level", *lines]) + "\n")
    spec = Series(tmp_path / "t.csv", window=6, blocks=6).spec
    for rows, said in (
        (["2024-01-31,1", "2024-02-29,", "2024-04-30,2"], "line 4, column 'day': the time does not follow"),
        (["2024-01-15,1", "2024-02-15,", "2024-03-15,2"], "line 2, column 'day': the time does not follow"),
        (["2024-02-29,1", "2024-01-31,", "2024-03-31,2"], "line 3, column 'day': the time falls"),
    ):
        (tmp_path / "g.csv").write_text("\n".join(["day,level", *rows]) + "\n")
        with pytest.raises(UserError, match=said):
            read_partial(str(tmp_path / "g.csv"), spec)
    (tmp_path / "g.csv").write_text("day,level\n2024-01-31,1\n2024-02-29,\n2024-03-31,2\n")
    assert read_partial(str(tmp_path / "g.csv"), spec).lengths.tolist() == [3]


def test_names_that_stand_twice_and_absent_classes_are_refused(stations, tmp_path):
    from genlab.config import build
    from genlab.runs.folder import Run
    from genlab.trainer import checkpoint

    run = Run.open(str(stations / "run"))
    state = checkpoint.read(checkpoint.find(run.checkpoints, "last"))
    spec = build.revive(run, state, torch.device("cpu")).spec
    text = (stations / "train.csv").read_text().splitlines()
    for lines, said in (
        ([f"{line},{line.split(',')[0]}" for line in text], "two columns are called 'station'"),
        ([text[0], text[1].rsplit(",", 1)[0] + ","], "line 2, column 'kind': the class is missing"),
        ([text[0], text[1], text[2].rsplit(",", 1)[0] + ",y"], "line 3, column 'kind': 'y' differs within its series"),
        ([text[0], text[1], "," + text[2].split(",", 1)[1]], "line 3, column 'station': the id is missing"),
    ):
        (tmp_path / "g.csv").write_text("\n".join(lines) + "\n")
        with pytest.raises(UserError, match=said):
            read_partial(str(tmp_path / "g.csv"), spec)


def test_medians_and_bounds_have_the_decimals_of_the_column(cli, tmp_path):
    values = np.random.default_rng(0).normal(size=60).cumsum().round(2)
    (tmp_path / "t.csv").write_text("\n".join(["level", *(f"{value:g}" for value in values)]) + "\n")
    data = ("data=series", f"data.path={tmp_path / 't.csv'}", "data.window=8", "data.blocks=6")
    assert cli("train", *data, *TINY, *FEW, f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    arguments = (f"run={tmp_path / 'run'}", f"given={tmp_path / 't.csv'}", "n=2", "horizon=6")
    assert cli("sample", *arguments)[0] == 0
    cells = [row["level"] for row in table(tmp_path / "run" / "completed.csv")[60:]]
    cells += [row[name] for row in table(tmp_path / "run" / "intervals.csv") for name in ("5 %", "50 %")]
    assert len(cells) == 18
    assert max(len(cell.partition(".")[2]) for cell in cells) == 2
