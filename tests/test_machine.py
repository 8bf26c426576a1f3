"""Unusual machines: any output encoding, no home folder, odd environment variables."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import genlab
from genlab import machine
from genlab.cli import main

ROOT = str(Path(genlab.__file__).parents[1])
SMALL = ("trainer.steps=2", "trainer.device=cpu", "trainer.sample_every=0", "data.n=100", "hydra.run.dir=run")


def run(folder: Path, code: str, *words: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Runs Python code with only these environment variables."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOT, "TMPDIR": str(folder), **variables}
    return subprocess.run([sys.executable, "-c", code, *words], cwd=folder, env=environment, capture_output=True)


MAIN = "import sys; from genlab.cli import main; sys.exit(main(sys.argv[1:]))"


def test_characters_that_the_output_encoding_lacks_are_escaped(monkeypatch):
    for encoding in ("latin-1", "cp1252", "ascii"):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
        assert main(["list", "measures"]) == 0
        sys.stdout.flush()
        assert rb"\u2193" in raw.getvalue()


def test_files_are_utf_8_whatever_the_locale(tmp_path):
    code = (
        "from pathlib import Path; from genlab.runs.folder import Run\n"
        "Run(Path()).write_evaluation({'': 'gr\\u00f6\\u00dfe \\u2192 \\u03c3'})"
    )
    done = run(tmp_path, code, HOME=str(tmp_path), LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr
    assert "größe → σ" in (tmp_path / "evaluation.json").read_text(encoding="utf-8")


def test_no_file_is_opened_in_the_locales_encoding():
    without_encoding = []
    for path in [*Path(ROOT, "genlab").rglob("*.py"), *Path(ROOT, "scripts").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                mode = next((a.value for a in node.args[1:2] if isinstance(a, ast.Constant)), "r")
                own = isinstance(node.func, ast.Name)  # not Image.open, Run.open, os.open
                text = name in ("read_text", "write_text") or (name == "open" and own and "b" not in str(mode))
                if text and not any(keyword.arg in ("encoding", None) for keyword in node.keywords):
                    without_encoding.append(f"{path.name}:{node.lineno}")
    assert without_encoding == []


NOBODY = """
import os, pwd, sys
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
"""


def test_a_user_without_a_name_and_a_home_can_train(tmp_path):
    done = run(tmp_path, NOBODY + MAIN, "train", *SMALL, "name=größe", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert rb"3\u03c3 of a mode" in done.stdout
    assert done.stderr == b""
    assert (tmp_path / f"genlab-{os.getuid()}").is_dir()


@pytest.fixture
def fresh():
    machine._temporary.cache_clear()
    yield
    machine._temporary.cache_clear()


def test_the_cache_root_falls_back_to_folders_that_can_be_written(tmp_path, monkeypatch, fresh):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("MPLCONFIGDIR", "set")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert machine.cache_root() == Path("/x/genlab")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert machine.cache_root() == tmp_path / ".cache" / "genlab"
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the home of another user
    own = tmp_path / f"genlab-{os.getuid()}"
    assert machine.cache_root() == own
    machine._temporary.cache_clear()
    own.rmdir()
    own.touch()  # a file of that name is in the way
    other = machine.cache_root()
    assert other != own
    assert other.is_dir()


@pytest.mark.parametrize(
    ("value", "threads"), [("3", 3), ("2,1", 2), (" 4 ", 4), ("", None), ("auto", None), ("0", None), ("-1", None)]
)
def test_omp_num_threads_may_be_a_list(monkeypatch, value, threads):
    from genlab.sweep.pool import resources

    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert machine.threads_asked_for() == threads
    cores = len(os.sched_getaffinity(0))
    assert resources(1, "auto", "cpu")[1] == (threads or cores)


def test_streams_of_other_kinds_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    text = io.StringIO()
    monkeypatch.setattr(sys, "stderr", text)
    machine.survive_any_encoding()
    assert sys.stdout is None
    assert sys.stderr is text
