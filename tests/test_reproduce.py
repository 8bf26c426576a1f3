"""scripts/results/reproduce.py trains, measures and records; it can be stopped and restarted, and fills the pages."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import config

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts" / "results"))
import reproduce
import rows

from genlab.commands.train import train
from genlab.metrics.catalogue import MEASURES
from genlab.runs.history import History

PHASES = ("generator", "discriminator", "critic")
TINY = "model=vae trainer.steps=60 trainer.batch_size=32 trainer.evaluate_every=0 trainer.sample_every=0"
TABLE = rows.Table(
    "tiny",
    "A tiny table",
    "Of points.",
    ("modes", "fid|sliced_w2", "seconds"),
    (
        rows.Row("own", "a VAE", TINY, "samples=50 likelihood=10 k=2"),
        rows.Row("again", "β said again", of="own", evaluate="samples=40 likelihood=10 k=2 model.beta=2.0"),
        rows.Row("shown", "the same shown again", of="own"),
    ),
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "README.md").write_text(f"above\n{reproduce.BEGIN}\nold\n{reproduce.END}\nbelow\n")
    show(monkeypatch, *TABLE.rows)
    monkeypatch.setattr(reproduce, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(reproduce, "RECORD", tmp_path / "results.jsonl")
    monkeypatch.setattr(reproduce, "PAGES", ((tmp_path / "README.md", None),))
    return tmp_path


def show(monkeypatch: pytest.MonkeyPatch, *shown: rows.Row) -> None:
    """Replaces all tables by one with these rows."""
    monkeypatch.setattr(reproduce, "TABLES", (TABLE._replace(rows=shown),))
    for module in (reproduce, rows):
        monkeypatch.setattr(module, "ROWS", {row.name: row for row in shown})


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *words])
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return reproduce.main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_results_are_written_to_the_readme_and_not_computed_twice(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert run(monkeypatch, "tiny", "--seeds=1") == 0
    record = [json.loads(line) for line in (root / "results.jsonl").read_text().splitlines()]
    assert [(line["row"], line["samples"]) for line in record] == [("own", 50), ("again", 40), ("shown", 50)]
    assert [line["seed"] for line in record] == [0, 0, 0]
    assert record[2]["values"] == record[0]["values"]
    assert not (root / "runs" / "shown").exists()
    folder = root / "runs" / "own" / "seed_0"
    evaluated = History(folder).evaluation
    assert evaluated["parameters"] == record[0]["parameters"] > 1000
    modes = evaluated["measures"]["modes"]["value"]
    again = json.loads((root / "runs" / "again" / "seed_0" / "evaluation.json").read_text())
    assert again["settings"] == {"model.beta": 2.0}
    text = (root / "README.md").read_text()
    assert (text[:6], text[-6:]) == ("above\n", "below\n")
    assert "old" not in text
    assert f"| a VAE | {modes:.4g} |" in text
    assert "| β said again |" in text

    written = (folder / "evaluation.json").stat().st_mtime_ns, (folder / "result.json").stat().st_mtime_ns
    capsys.readouterr()
    assert run(monkeypatch, "own", "--seeds=2") == 0  # only the second seed is new
    assert "seed_0" not in capsys.readouterr().out
    assert written == ((folder / "evaluation.json").stat().st_mtime_ns, (folder / "result.json").stat().st_mtime_ns)
    assert " ± " in next(line for line in (root / "README.md").read_text().splitlines() if "a VAE" in line)
    assert len((root / "results.jsonl").read_text().splitlines()) == 4


def test_a_killed_run_is_resumed(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    row = TABLE.rows[0]._replace(train=f"{TINY} trainer.steps=1500 trainer.checkpoint_every=20")
    show(monkeypatch, row)
    folder = reproduce.folder(row, 0)
    words = [*row.train.split(), "seed=0", f"hydra.run.dir={folder}"]
    process = subprocess.Popen([sys.executable, "-m", "genlab", "train", *words], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (folder / "checkpoints" / "last.pt").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert run(monkeypatch, "own", "--seeds=1") == 0
    assert f"genlab train resume={folder}\n" in capsys.readouterr().out
    (line,) = map(json.loads, (root / "results.jsonl").read_text().splitlines())
    assert line["steps"] == 1500


def test_a_run_with_other_settings_is_named_and_left_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder = reproduce.folder(TABLE.rows[0], 0)
    folder.mkdir(parents=True)
    train(config(*TINY.split(), "trainer.steps=2", "model.z_dim=3", "seed=0", "name=other"), folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert run(monkeypatch, "own", "--seeds=1") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "(model.z_dim 3, now 2; trainer.steps 2, now 60): move it away" in error
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert not (root / "results.jsonl").exists()


def test_a_run_is_evaluated_with_the_sampler_settings_of_its_row(root: Path, monkeypatch: pytest.MonkeyPatch):
    words = "model=ddpm trainer.steps=3 trainer.batch_size=8 trainer.evaluate_every=0 trainer.sample_every=0"
    row = rows.Row("own", "ddpm", f"{words} model.sample_steps=4", "samples=20 likelihood=5")
    show(monkeypatch, row)
    folder = reproduce.folder(row, 0)
    folder.mkdir(parents=True)
    train(config(*words.split(), "model.sample_steps=2", "seed=0", "name=other"), folder)
    before = (folder / "config.yaml").read_text()
    assert run(monkeypatch, "own", "--seeds=1") == 0
    report = json.loads((folder.with_name("seed_0_model.sample_steps_4") / "evaluation.json").read_text())
    assert report["settings"] == {"model.sample_steps": 4}
    (line,) = map(json.loads, (root / "results.jsonl").read_text().splitlines())
    assert (line["samples"], line["values"]["w2"]) == (20, pytest.approx(report["measures"]["w2"]["value"], rel=1e-3))
    assert (folder / "config.yaml").read_text() == before


def test_a_failed_run_is_named_and_not_recorded(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    show(monkeypatch, rows.Row("bad", "bad", "model=vae trainer.steps=none"))
    assert run(monkeypatch) == 1
    assert "failed: genlab train model=vae" in capsys.readouterr().err
    assert not (root / "results.jsonl").exists()


def test_a_wrong_name_gives_an_error(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert run(monkeypatch, "tine") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "did you mean 'tiny'" in error


def test_the_pages_hold_exactly_the_record():
    record = reproduce.read()
    for page, names in reproduce.PAGES:
        _, rest = page.read_text().split(reproduce.BEGIN)
        shown = [t for t in rows.TABLES if names is None or t.name in names]
        tables = [reproduce.section(t, record, short=names is not None) for t in shown]
        assert rest.split(reproduce.END)[0] == "\n\n" + "\n".join(filter(None, tables)) + "\n"


def test_every_row_has_a_command_that_composes():
    """Also: no two rows share a folder, evaluations are of rows that train, and genlab knows all measures."""
    names = [row.name for table in rows.TABLES for row in table.rows]
    assert len(set(names)) == len(names)
    for row in reproduce.ROWS.values():
        assert config(*(row.train or reproduce.ROWS[row.of].train).split()).model._target_
        evaluated = [word.partition("=")[0] for word in row.evaluate.split()]
        assert all(key.startswith("model.") or key in ("samples", "k", "likelihood", "precision") for key in evaluated)
    own = {"seconds"} | {f"{phase}_{statistic}" for phase in PHASES for statistic in ("std", "roughness")}
    for table in rows.TABLES:
        assert {name for column in table.columns for name in column.split("|")} <= {
            *MEASURES,
            *own,
        }
