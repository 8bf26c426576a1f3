"""`genlab compare` averages seeds, ranks the best first, lists failed runs and notes unlike measurements."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli
from PIL import Image

from genlab.report import comparison
from genlab.report.sheet import sheet
from genlab.report.tables import columns, comma_separated, markdown, number, spread
from genlab.runs.history import History


def make_run(
    folder: Path,
    fid: float | None,
    seed: int = 0,
    lr: float = 0.1,
    model: str = "vae.VAE",
    state: str = "finished",
    **how,
) -> Path:
    """Writes a run folder as training and `genlab evaluate` leave it."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        f"model: {{_target_: genlab.models.{model}, z: 2}}\ndata: {{_target_: genlab.data.mnist.MNIST, size: 28}}\n"
        f"trainer: {{steps: 5, lr: {lr}}}\noptimizer: {{}}\nseed: {seed}\nname: {folder.name}\n"
    )
    (folder / "status.json").write_text(
        json.dumps({"status": state, "reason": "out of luck" if state == "failed" else ""})
    )
    lines = [{"step": s, "eval/fid": 100 / s, "eval/loss": 1.0} for s in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "samples").mkdir()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(folder / "samples" / "samples_00000003.png")
    if fid is not None:
        row = {"value": fid, "error": None, "floor": 1.0, "noise": 500.0, "better": "min", "text": "", "unit": ""}
        net = {"name": "classifier", "fingerprint": "abc"}
        report = {
            "data": "MNIST",
            "split": "test",
            "samples": 100,
            "reference": 100,
            "net": net,
            "measures": {"fid": row},
        }
        (folder / "evaluation.json").write_text(json.dumps(report | how))
    return folder


def test_seeds_are_grouped_with_mean_and_standard_deviation(tmp_path: Path):
    for seed, fid in enumerate((10.0, 12.0, 14.0)):
        make_run(tmp_path / f"a{seed}", fid, seed)
    make_run(tmp_path / "b", 11.0, lr=0.2)
    groups = comparison.group(comparison.find_runs([tmp_path]))
    assert [len(configuration.runs) for configuration in groups] == [3, 1]
    figure = groups[0].figure("fid")
    assert figure == (12.0, 2.0, 3)
    assert groups[1].figure("fid") == (11.0, None, 1)
    assert comparison.differing(groups) == ["trainer.lr"]
    assert comparison.rank(groups, "fid", "min") == groups[::-1]
    assert comparison.rank(groups, "fid", "max") == groups


def test_a_failed_run_has_no_value_and_ranks_last(tmp_path: Path):
    make_run(tmp_path / "good", 50.0)
    make_run(tmp_path / "bad", 1.0, lr=9.0, state="failed")
    groups = comparison.group(comparison.find_runs([tmp_path]))
    ranked = comparison.rank(groups, "fid", "min")
    assert [configuration.state for configuration in ranked] == ["finished", "failed"]
    assert ranked[1].figure("fid") is None


def test_differences_in_measurement_are_reported(tmp_path: Path):
    runs = [
        make_run(tmp_path / "a", 10.0),
        make_run(tmp_path / "b", 11.0, samples=50, net={"name": "inception", "fingerprint": "d"}),
    ]
    notes = comparison.unlike([History(run) for run in runs])
    assert notes == [
        "evaluated with different numbers of samples: 100, 50",
        "evaluated with different feature nets: classifier abc, inception d",
    ]
    make_run(tmp_path / "c", None)
    assert "1 of 3 runs have not been evaluated" in comparison.unlike(comparison.find_runs([tmp_path]))
    assert comparison.unlike([History(runs[0])]) == []


def test_runs_on_different_data_of_the_same_name_are_not_grouped(tmp_path: Path):
    runs = [make_run(tmp_path / f"{i}", 10.0, seed=i, fingerprint=f"f{i}") for i in range(2)]
    for i, run in enumerate(runs):
        (run / "environment.json").write_text(json.dumps({"data": f"f{i}"}))
    histories = comparison.find_runs([tmp_path])
    assert len(comparison.group(histories)) == 2
    assert comparison.unlike(histories) == ["evaluated with different data: MNIST f0, MNIST f1"]


def test_evaluations_of_another_checkpoint_or_an_earlier_step_are_reported(tmp_path: Path):
    make_run(tmp_path / "a", 10.0, checkpoint="best", step=3)
    run = make_run(tmp_path / "b", 11.0, checkpoint="last", step=3)
    (run / "status.json").write_text(json.dumps({"status": "finished", "step": 5}))
    assert comparison.unlike(comparison.find_runs([tmp_path])) == [
        "1 of 2 runs were trained further after they were evaluated",
        "evaluated with different checkpoints: best, last",
    ]


def test_compare_prints_a_table_and_writes_csv_markdown_and_png(cli: Cli, tmp_path: Path):
    for seed in (0, 1):
        make_run(tmp_path / f"vae{seed}", 10.0 + seed, seed)
    make_run(tmp_path / "gan", 5.0, model="gan.GAN")
    make_run(tmp_path / "dead", None, model="gan.GAN", lr=3.0, state="failed")
    code, out, err = cli("compare", str(tmp_path), "out=table")
    assert code == 0, err
    table = [line.split() for line in out.splitlines()]
    assert table[3][:4] == ["1", "GAN", "on", "MNIST"]
    assert table[4][:4] == ["2", "VAE", "on", "MNIST"]
    assert "10.5 ± 0.71" in out
    assert "failed: " in out
    assert "out of luck" in out
    assert any(line[:3] == ["real", "training", "data"] for line in table)
    with open("table/compare.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["fid"]) for row in rows if row["fid"]] == [5.0, 10.5]
    assert rows[1]["fid n"] == "2"
    assert Path("table/compare.md").read_text().count("|") > 20
    with Image.open("table/compare.png") as picture:
        assert picture.size[0] > 400
        assert np.asarray(picture).std() > 1

    make_run(tmp_path / "0_model=vae,seed=0", 9.0)
    code, out, err = cli("compare", str(tmp_path / "0_model=vae,seed=0"), "out=table")
    assert code == 0, err
    code, out, err = cli("compare", str(tmp_path), "sort=fdi", "out=table")
    assert code == 2
    assert "did you mean 'fid'?" in err


@pytest.mark.parametrize(("runs", "rows"), [(1, [1]), (5, [5]), (6, [3, 3]), (7, [4, 3]), (12, [5, 5])])
def test_the_sheet_has_at_most_ten_pictures_in_rows_of_at_most_five(tmp_path: Path, runs: int, rows: list[int]):
    for i in range(runs):
        folder = make_run(tmp_path / f"{i}", float(i), lr=0.1 * i)
        Image.new("RGB", (40, 60), (255, 0, 255)).save(folder / "samples" / "samples_00000003.png")
    configurations = comparison.rank(comparison.group(comparison.find_runs([tmp_path])), "fid", "min")
    painted = (np.asarray(sheet(configurations, "fid")) == (255, 0, 255)).all(2)
    bands = starts(painted.any(1))
    assert [len(starts(painted[band + 10])) for band in bands] == rows


def starts(line: np.ndarray) -> np.ndarray:
    """Returns the indices at which runs of True begin in an array of booleans (n,)."""
    return np.flatnonzero(line & ~np.append(False, line[:-1]))


def test_tables_are_formatted_and_escaped():
    assert columns([("a", "b"), ("long", "1")]) == ["a     b", "long  1"]
    assert markdown([("a", "b"), ("x|y", "1")]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |\n"
    assert [number(v) for v in (None, 0.00123456, 12345.6, 3e-7)] == ["", "0.001235", "12,346", "3e-07"]
    assert spread(1.0, 0.123) == "1 ± 0.12"
    assert spread(-1500.0, 210.0) == "-1500 ± 210"
    assert comma_separated([["=cmd()", None, 1.5]]) == "'=cmd(),,1.5\n"


@pytest.mark.parametrize("word", ["", "x", "=1"])
def test_a_damaged_evaluation_is_named(cli: Cli, tmp_path: Path, word: str):
    run = make_run(tmp_path / "a", 1.0)
    (run / "evaluation.json").write_text("{" + word)
    code, _, err = cli("compare", str(run))
    assert code == 2
    assert "evaluation.json" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("verb", ["compare", "report"])
def test_a_sweep_and_a_shell_glob_of_its_folders_are_accepted(cli: Cli, tmp_path: Path, verb: str):
    sweep = tmp_path / "sweep"
    for i in range(2):
        make_run(sweep / f"{i}_seed={i}", 1.0, seed=i)
    (sweep / "sweep.csv").touch()
    (sweep / "2_seed=2").mkdir()
    (sweep / "2_seed=2" / "job.log").write_text("$ genlab train")  # this job never started
    out = "out=r.html" if verb == "report" else "out=table"
    for folders in (["sweep"], sorted(f"sweep/{path.name}" for path in sweep.iterdir())):
        code, stdout, err = cli(verb, *folders, out)
        assert (code, err) == (0, "")
        assert stdout.startswith("2 runs")
    assert "no folder sweep/3" in cli(verb, "sweep", "sweep/3")[2]
    assert "there is no run in sweep/sweep.csv" in cli(verb, "sweep/sweep.csv")[2]
    (tmp_path / "empty").mkdir()
    assert "empty is not a run folder" in cli(verb, "sweep", "empty")[2]
