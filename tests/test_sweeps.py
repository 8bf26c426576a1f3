"""Sweeps: jobs that fail, are killed or are interrupted; resuming them; ranks; the search.

Most tests run a stand-in for `genlab train` that starts at once; one test runs real jobs.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from genlab.errors import UserError
from genlab.runs.folder import Run
from genlab.sweep import pool
from genlab.sweep.folder import Job, Sweep, assignment
from genlab.sweep.pool import Pool, resources

SMALL = ("trainer.device=cpu", "trainer.batch_size=16", "trainer.sample_every=0", "data.n=100", "hydra.sweep.dir=sweep")

# Takes the arguments of `genlab train`. seed=1 raises and seed=2 is killed until the file REPAIRED exists; while the
# file WAIT exists, a job waits for a signal.
STAND_IN = """
import json, os, signal, sys, time
from pathlib import Path
words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
folder = Path((words.get("hydra.run.dir") or words["resume"]).strip("'"))
def status(state):
    (folder / "status.json").write_text(json.dumps({"status": state, "step": 5}))
def stop(number, frame):
    with open(folder / "signals", "a") as file:
        file.write(f"{number} ")
    status("interrupted")
    (folder / "config.yaml").touch()
    sys.exit(128 + number)
signal.signal(signal.SIGINT, stop), signal.signal(signal.SIGTERM, stop)
with open(folder / "starts", "a") as file:
    file.write(f"{'resume' in words} {os.environ.get('OMP_NUM_THREADS')} {os.environ.get('CUDA_VISIBLE_DEVICES')}\\n")
status("running")
if not Path("REPAIRED").exists():
    if "seed=1" in folder.name:
        raise ValueError("seed 1 is unlucky")
    if "seed=2" in folder.name:
        os.kill(os.getpid(), signal.SIGKILL)
hopeless = float(words.get("optimizer.critic.lr", 0)) > 0.1 and int(folder.name.split("_")[0]) > 3
value = float(hopeless)
with open(folder / "metrics.jsonl", "a") as file:
    for step in range(1, 4):
        file.write(json.dumps({"step": step, "eval/sliced_w2": value}) + "\\n")
if Path("WAIT").exists() or hopeless:
    time.sleep(60)
best = {"measure": "eval/sliced_w2", "value": value, "step": 9}
(folder / "result.json").write_text(json.dumps({"step": 9, "best": best}))
status("finished")
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setattr(pool, "PROGRAM", [sys.executable, str(tmp_path / "stand_in.py")])
    monkeypatch.setattr(pool, "JUDGE", 0.1)


def jobs(folder: Path = Path("sweep")) -> dict[str, Job]:
    return {job.folder: job for job in Sweep.open(folder).jobs}


def test_real_jobs_that_raise_or_are_killed_can_be_resumed(cli, tmp_path, monkeypatch):
    (tmp_path / "sabotage.py").write_text(
        "import os, signal\n"
        "from pathlib import Path\n"
        "from genlab.data.gaussian2d import Gaussian2D\n"
        "class Points(Gaussian2D):\n"
        "    calls = 0\n"
        "    def __init__(self, kind, n, seed, fault):\n"
        "        super().__init__(kind, n, seed)\n"
        "        self.fault = '' if Path('REPAIRED').exists() else fault\n"
        "    def batch(self, split, index):\n"
        "        self.calls += 1\n"
        "        if split == 'train' and self.calls > 15 and self.fault == 'raise':\n"
        "            raise RuntimeError('no such table')\n"
        "        if self.calls > 30 and self.fault == 'kill':\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().batch(split, index)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    words = [*SMALL, "trainer.steps=12", "trainer.checkpoint_every=3", "model=gan", "data._target_=sabotage.Points"]
    words += ["--allow-targets"]  # is passed on to the jobs
    code, out, err = cli("train", "-m", "+data.fault=none,raise,kill", *words, "hydra.launcher.n_jobs=3")
    assert code == 1
    assert err.startswith("genlab: 2 of 3 jobs did not finish")
    assert err.count("\n") == 1
    fine, raised, killed = sorted(jobs().values(), key=lambda job: job.number)
    assert [fine.folder, raised.folder, killed.folder] == [
        f"{i}_+data.fault={w}" for i, w in enumerate(("none", "raise", "kill"))
    ]
    assert (fine.status, fine.measure) == ("finished", "eval/sliced_w2")
    assert (raised.status, raised.reason) == ("failed", "RuntimeError: no such table")
    assert (killed.status, killed.reason) == ("failed", "killed by signal 9 (SIGKILL)")
    assert "failed: killed by signal 9" in out
    assert "Traceback" in (tmp_path / "sweep" / raised.folder / "job.log").read_text()
    for job in (raised, killed):
        assert json.loads((tmp_path / "sweep" / job.folder / "status.json").read_text())["status"] == "failed"
    before = (tmp_path / "sweep" / fine.folder / "metrics.jsonl").read_bytes()

    (tmp_path / "REPAIRED").touch()
    code, out, err = cli("train", "-m", "resume=sweep", "--allow-targets")
    assert (code, err) == (0, "")
    assert "2 of 3 jobs are not finished" in out
    assert {job.status for job in jobs().values()} == {"finished"}
    assert (tmp_path / "sweep" / fine.folder / "metrics.jsonl").read_bytes() == before
    assert "resume=" in (tmp_path / "sweep" / killed.folder / "job.log").read_text()  # from its checkpoint
    assert len((tmp_path / "sweep" / "sweep.csv").read_text().splitlines()) == 4
    assert (
        cli("sample", f"run=sweep/{fine.folder}", "n=2", "device=cpu", "--allow-targets")[0] == 0
    )  # a name with = in it


def test_a_resumed_sweep_runs_only_failed_jobs_again(cli, tmp_path, stand_in):
    code, _, _ = cli("train", "-m", "seed=0,1,2,3", *SMALL, "hydra.launcher.n_jobs=2", "hydra.launcher.threads=3")
    assert code == 1
    states = [job.status for job in jobs().values()]
    assert states == ["finished", "failed", "failed", "finished"]
    assert jobs()["1_seed=1"].reason == "ValueError: seed 1 is unlucky"
    assert cli("train", "-m", "seed=0,1", *SMALL)[0] == 2  # the folder holds a sweep
    (tmp_path / "REPAIRED").touch()
    assert "start a new sweep" in cli("train", "-m", "seed=7,8", "resume=sweep")[2]
    assert "did you mean 'hydra.launcher.n_jobs'" in cli("train", "resume=sweep", "hydra.launcher.n_job=3")[2]
    assert cli("train", "-m", "seed=0,1,2,3", "trainer.steps=7", "resume=sweep")[0] == 0
    starts = {name: (tmp_path / "sweep" / name / "starts").read_text().splitlines() for name in jobs()}
    assert [len(lines) for lines in starts.values()] == [1, 2, 2, 1]
    assert starts["0_seed=0"][0].split()[1] == "3"
    assert "trainer.steps=7" in (tmp_path / "sweep" / "1_seed=1" / "job.log").read_text()
    assert cli("train", "resume=sweep")[0] == 0  # nothing left to do


def interrupted(cli, folder: Path, number: int, names: list[str], *words: str) -> tuple[int, str, str]:
    """Runs a command, and sends this process a signal as soon as these jobs have written their metrics."""

    def send():
        while not all(list(folder.glob(f"{name}/metrics.jsonl")) for name in names):
            if stop.wait(0.02):
                return
        os.kill(os.getpid(), number)

    stop = threading.Event()
    thread = threading.Thread(target=send)
    thread.start()
    try:
        return cli(*words)
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_whole_sweep_cleanly(cli, tmp_path, stand_in, number, code):
    (tmp_path / "WAIT").touch()
    (tmp_path / "REPAIRED").touch()
    words = ("train", "-m", "seed=0,1,2", *SMALL, "hydra.launcher.n_jobs=2")
    got, out, err = interrupted(cli, tmp_path / "sweep", number, ["0_*", "1_*"], *words)
    assert got == code
    assert "resume=" in err
    assert "interrupted: at step 5" in out
    assert [job.status for job in jobs().values()] == ["interrupted", "interrupted", "queued"]
    assert (tmp_path / "sweep" / "0_seed=0" / "signals").read_text() == f"{int(number)} "  # once, not twice
    (tmp_path / "WAIT").unlink()
    with Run(tmp_path / "sweep").lock():
        assert "is in use by" in cli("train", "resume=sweep")[2]
    assert cli("train", "resume=sweep")[0] == 0
    starts = [(tmp_path / "sweep" / name / "starts").read_text().split("\n") for name in jobs()]
    assert [lines[-2].split()[0] for lines in starts] == ["True", "True", "False"]


def test_each_job_gets_a_gpu_of_its_own(tmp_path, stand_in, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "REPAIRED").touch()
    sweep = Sweep(tmp_path / "sweep", [Job(i, str(i), [f"seed={i}"]) for i in range(4)])
    Pool(sweep, 2, 1, ["3", "5"]).run(iter(sweep.jobs))
    seen = {(tmp_path / "sweep" / job.folder / "starts").read_text().split()[-1] for job in sweep.jobs}
    assert seen == {"3", "5"}


def test_jobs_threads_and_gpus_follow_from_the_machine(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    assert resources("auto", "auto", "auto") == (2, 4, ["0", "2"])
    assert resources("auto", "auto", "auto", devices=2) == (1, 4, ["0,2"])
    assert resources("auto", "auto", "cpu") == (4, 2, [])
    assert resources("auto", "auto", "cpu", devices=2) == (2, 2, [])
    assert resources(3, 1, "cuda:1") == (3, 1, [])  # the device that the user chose is kept
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert resources("auto", "auto", "auto") == (4, 2, [])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert resources("auto", "auto", "cpu") == (4, 1, [])


def test_ranks_follow_the_mode_within_each_measure(tmp_path):
    figures = [("eval/a", 3.0), ("eval/a", 1.0), ("eval/b", 2.0), ("", None)]
    words = [["x=1", f"y={i}"] for i in range(4)]
    sweep = Sweep(tmp_path, [Job(i, str(i), words[i], measure=m, value=v) for i, (m, v) in enumerate(figures)])
    assert sweep.ranks() == {0: 2, 1: 1, 2: 1}
    assert sweep.differing(sweep.jobs[1]) == "y=1"
    assert "different measures" in sweep.table()
    for job in sweep.jobs:
        job.better = "max"
    assert sweep.ranks() == {0: 1, 1: 2, 2: 1}
    for job in sweep.jobs:
        job.better = "near 1.5"
    sweep.jobs[0].better = "max"  # a job from before there were modes `near ...`
    assert sweep.ranks() == {0: 2, 1: 1, 2: 1}
    for job in sweep.jobs:
        job.better = "max"
    assert [row["job"] for row in sweep.rows()] == [0, 1, 2, 3]
    sweep.save()
    assert Sweep.open(tmp_path) == sweep
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        Sweep.open(tmp_path)


@pytest.mark.parametrize("value", ["/a/0_model=gan,seed=1", "it's", "a b", "back\\slash", "end\\", "\\'", "[x]"])
def test_any_folder_name_survives_hydras_grammar(value):
    (parsed,) = OverridesParser.create().parse_overrides([assignment("resume", value)])
    assert parsed.value() == value


def test_other_launchers_write_the_table_too(cli, tmp_path):
    words = [*SMALL, "trainer.steps=4", "hydra/launcher=basic", "trainer.log_every=1", "model=vae"]
    code, out, err = cli("train", "-m", "optimizer.model.lr=1e-3,1e30", *words)
    assert code == 1
    assert "1 of 2 jobs did not finish" in err
    assert "failed: RunFailed" in out
    assert [job.status for job in jobs().values()] == ["finished", "failed"]
    assert "not finite" in (tmp_path / "sweep" / "1_optimizer.model.lr=1e+30" / "job.log").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hydra.launcher.n_jobs=two"], "n_jobs: 'two' is neither a positive integer nor auto"),
        (["trainer.devices=two"], "trainer.devices: 'two' is not an integer"),
        (["hydra.sweeper.n_trials=many"], "hydra.sweeper.n_trials: 'many' is not an integer"),
        (["hydra.sweeper.storage=nowhere"], "hydra.sweeper.storage: 'nowhere'"),
        (
            ["hydra/sweeper=grid", "optimizer.critic.lr=1,2", "hydra.sweeper.max_batch_size=0"],
            "max_batch_size: must be >= 1, got 0",
        ),
        (["hydra.sweeper.seed=-1"], "hydra.sweeper.seed: must be >= 0, got -1"),
    ],
)
def test_wrong_options_of_a_search_give_a_one_line_error(cli, tmp_path, words, message):
    pytest.importorskip("optuna")
    code, out, err = cli(*SEARCH, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not list(tmp_path.glob("**/optuna.db"))


def test_wrong_options_of_a_resumed_sweep_are_refused(cli, tmp_path):
    Sweep(tmp_path / "sweep", [Job(0, "0", ["seed=0"])]).save()
    assert "trainer.devices: 'two' is not a positive integer" in cli("train", "resume=sweep", "trainer.devices=two")[2]
    assert "the value cannot be read" in cli("train", "resume=sweep", "seed=(1")[2]


SEARCH = ("train", "-m", "hydra/sweeper=optuna", "optimizer.critic.lr=tag(log, interval(1e-3, 1.0))", *SMALL)


@pytest.mark.filterwarnings("default")  # of Optuna and its database library
def test_a_search_prunes_and_can_be_resumed(cli, tmp_path, stand_in):
    pytest.importorskip("optuna")
    (tmp_path / "REPAIRED").touch()
    options = ["hydra.sweeper.prune_after=3", "hydra.launcher.n_jobs=1"]
    code, out, _ = cli(*SEARCH, "hydra.sweeper.n_trials=9", "hydra.sweeper.seed=3", *options)
    assert code == 0, out
    first = list(jobs().values())
    rates = [float(job.overrides[-1].split("=")[1]) for job in first]
    assert len(first) == 9
    assert all(0.001 <= rate <= 1 for rate in rates)
    assert all(
        job.status == ("pruned" if rate > 0.1 and job.number > 3 else "finished")
        for job, rate in zip(first, rates, strict=True)
    )
    assert "pruned" in {job.status for job in first}
    code, out, _ = cli("train", "resume=sweep", "hydra.sweeper.n_trials=10")
    assert code == 0, out
    assert [job.folder for job in jobs().values()][:9] == [job.folder for job in first]
    assert len(jobs()) == 10
    assert len({job.overrides[-1] for job in jobs().values()}) == 10


@pytest.mark.filterwarnings("default", "error:The reported value")
def test_an_interrupted_trial_is_resumed(cli, tmp_path, stand_in):
    pytest.importorskip("optuna")
    (tmp_path / "WAIT").touch()
    words = (*SEARCH, "hydra.sweeper.n_trials=2", "hydra.launcher.n_jobs=1")
    assert interrupted(cli, tmp_path / "sweep", signal.SIGINT, ["0_*"], *words)[0] == 130
    assert [job.status for job in jobs().values()] == ["interrupted"]
    (tmp_path / "WAIT").unlink()
    assert cli("train", "resume=sweep")[0] == 0
    assert [job.status for job in jobs().values()] == ["finished", "finished"]
    assert (tmp_path / "sweep" / next(iter(jobs())) / "starts").read_text().split("\n")[1].startswith("True")


def test_a_search_needs_a_parameter_and_a_measure(cli):
    pytest.importorskip("optuna")
    assert "nothing to search over" in cli("train", "-m", "hydra/sweeper=optuna", "seed=0")[2]
    assert "evaluate_every must not be 0" in cli(*SEARCH, "trainer.evaluate_every=0")[2]
