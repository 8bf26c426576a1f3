"""Reading runs back: a torn last line is left out, and damaged files are named."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genlab.errors import UserError
from genlab.runs.history import History

CONFIG = (
    "model: {_target_: a.B, hidden: [1, 2], net: {width: 3}}\ndata: {}\ntrainer: {}\noptimizer: {}\nseed: 0\nname: x\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "samples").mkdir()
    return tmp_path


def test_metrics_leave_out_missing_values_and_the_torn_last_line(folder):
    lines = ['{"step": 4, "a": 2.5}', '{"step": 2, "a": 1, "b": null}', '{"step": 4, "a": 3, "partial": true}', '{"st']
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    history = History(folder)
    assert history.metrics == {"a": [(2, 1.0), (4, 3.0)]}
    assert (history.last("a"), history.last("b")) == (3.0, None)


def test_a_run_that_has_just_started_is_empty(folder):
    history = History(folder)
    assert (history.metrics, history.status, history.result, history.evaluation) == ({}, {}, {}, {})
    assert history.pictures == {}
    assert history.settings["model.net.width"] == 3
    assert history.settings["model.hidden"] == [1, 2]


def test_a_run_whose_process_has_died_was_killed(folder):
    hold = f"from genlab.runs.folder import *\nwith Run(Path({str(folder)!r})).lock(): print(flush=True), input()"
    process = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"\n"

    def status(host=None) -> str:
        words = {"status": "running", "pid": process.pid, "host": host or socket.gethostname()}
        (folder / "status.json").write_text(json.dumps(words))
        return History(folder).status["status"]

    assert status() == "running"
    process.kill()
    time.sleep(0.5)  # dead, but not waited for yet, so it still has its process number
    assert status() == "killed"
    process.communicate()
    assert status("another machine") == "running"


def test_pictures_are_grouped_by_name_and_sorted_by_step(folder):
    for name in ("samples_00000100.png", "samples_00000020.png", "latent_grid_00000020.png", "mine.png"):
        (folder / "samples" / name).touch()
    pictures = History(folder).pictures
    assert {name: [p.step for p in film] for name, film in pictures.items()} == {
        "samples": [20, 100],
        "latent_grid": [20],
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics.jsonl", '{"step": 1}\n{"st\n{"step": 2}\n', "metrics.jsonl, line 2"),
        ("metrics.jsonl", '{"step": 1}\n[]\n{"step": 2}\n', "line 2: not an object with a step"),
        ("status.json", "{", "status.json"),
        ("result.json", "[1]", "result.json: not a JSON object"),
        ("evaluation.json", json.dumps({"measures": {"fid": 3}}), "does not hold a value"),
        ("config.yaml", "a: [", "config.yaml"),
    ],
)
def test_a_damaged_file_is_named(folder, name, text, message):
    (folder / name).write_text(text)
    with pytest.raises(UserError, match=message):
        getattr(History(folder), name.split(".")[0])


def test_a_file_that_is_not_text_is_named(folder):
    (folder / "result.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"cannot read .*result\.json"):
        _ = History(folder).result
