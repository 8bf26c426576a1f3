"""The command line: one-line errors for wrong input, no heavy import before it is needed, and a run end to end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genlab import __version__

TRAIN = ("train", "trainer.device=cpu", "trainer.batch_size=16", "trainer.log_every=2", "data.n=100")


def test_version_and_help_are_printed(cli):
    assert cli("--version")[:2] == (0, f"genlab {__version__}\n")
    code, out, _ = cli("--help")
    assert code == 0
    assert all(verb in out for verb in ("train", "sample", "prepare", "list"))
    code, out, _ = cli("train", "--help")
    assert code == 0
    assert out.startswith("genlab train: train a model")
    assert "trainer:" in out


def test_list_describes_each_entry_on_one_line(cli):
    code, out, _ = cli("list")
    assert code == 0
    for line in ("wgan_gp  ", "gaussian2d  ", "mnist_vae  "):
        (entry,) = [shown for shown in out.splitlines() if shown.strip().startswith(line)]
        assert len(entry.split(maxsplit=1)[1]) > 20
    assert "models" not in cli("list", "data")[1]


@pytest.mark.parametrize("arguments", [["list"], ["train", "--help"]])
def test_a_closed_output_pipe_is_not_an_error(arguments):
    command = [sys.executable, "-u", "-m", "genlab", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "did you mean 'train'?"),
        (["train", "model=wgan_pg"], "did you mean 'wgan_gp'?"),
        (["train", "trainer.stepz=3"], "did you mean 'steps'?"),
        (["train", "steps=3"], "did you mean 'trainer.steps'?"),
        (["train", "experiment=mnist_vea"], "did you mean 'mnist_vae'?"),
        (["train", "trainer.steps=abc"], "trainer.steps: 'abc' is not an integer"),
        (["train", "trainer.precision=fp16"], "one of fp32, bf16"),
        (["train", "trainer.device=tpu"], "none of auto, cpu, cuda"),
        (["train", "+trainer.foo=3"], "unknown option 'trainer.foo'"),
        (["train", "model=gan,vae"], "add -m for a sweep"),
        (["train", "model"], "write key=value"),
        (["train", "resume=nowhere"], "no folder nowhere"),
        (["train", "resume=."], "is not a run folder"),
        (["sample"], "'run' needs a value"),
        (["sample", "run=."], "is not a run folder"),
        (["prepare", "data=imagenet"], "none of"),
        (["train", "--multrun", "seed=0,1"], "did you mean '--multirun'?"),
        (["list", "models", "papers"], "none of models, data, presets"),
        (["train", "trainer.device=cuda:99"], "cuda:99"),
        (["train", "data.kind=rings"], "did you mean 'ring'?"),
        (["train", "optimizer.critic.lr=fast"], "optimizer.critic.lr: 'fast' is not a number"),
        (["train", "optimizer.critic.lr=-1"], "optimizer.critic: "),
        (["train", "seed=x"], "seed: 'x' is not an integer"),
    ],
)
def test_wrong_input_gives_a_one_line_error_and_exit_code_2(cli, tmp_path, arguments, message):
    code, out, err = cli(*arguments)
    assert code == 2
    assert message in err
    assert err.startswith("genlab: ")
    assert err.count("\n") == 1
    assert out == ""
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "outputs"])
    assert not list(tmp_path.glob("outputs/*"))


def test_a_run_folder_that_cannot_be_written_is_an_error(cli, tmp_path):
    (tmp_path / "file").write_text("mine")
    code, _, err = cli("train", "hydra.run.dir=file/run")
    assert code == 2
    assert "cannot write" in err
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["train", "--help"],
        ["train", "--cfg", "job"],
        ["train", "trainer.stepz=1"],
        ["train", "trainer.steps=x"],
        ["train", "resume=nowhere"],
        ["sample", "run=nowhere"],
    ],
)
def test_help_list_and_errors_do_not_import_heavy_packages(arguments, tmp_path):
    code = (
        "import sys; from genlab.cli import main; main(sys.argv[1:]); "
        "heavy = {'torch', 'numpy', 'matplotlib', 'scipy', 'tensorboard'} & set(sys.modules); "
        "print(heavy, file=sys.stderr); sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_train_resume_and_sample_work_end_to_end(cli, tmp_path):
    code, out, err = cli(*TRAIN, "trainer.steps=6", "hydra.run.dir=run")
    assert (code, err) == (0, "")
    assert "modes covered" in out
    assert "samples/s" in out
    assert "run folder:" in out
    run = tmp_path / "run"
    for name in (
        "config.yaml",
        "metrics.jsonl",
        "status.json",
        "result.json",
        "checkpoints/last.pt",
        "checkpoints/best.pt",
    ):
        assert (run / name).is_file(), name
    assert list(run.glob("events*"))
    assert list(run.glob("samples/samples_*.png"))
    assert json.loads((run / "status.json").read_text())["status"] == "finished"

    assert "raise trainer.steps" in cli("train", "resume=run")[1]
    before = (run / "metrics.jsonl").read_text()
    code, _, err = cli(*TRAIN, "trainer.steps=6", "hydra.run.dir=run")
    assert code == 2
    assert "already holds a run" in err
    assert (run / "metrics.jsonl").read_text() == before
    code, _, err = cli("train", "resume=run", "trainer.stepz=8")
    assert code == 2
    assert "did you mean 'steps'" in err
    assert cli("train", "resume=run", "model=vae")[0] == 2
    assert cli("train", "resume=run", "trainer.steps=10")[0] == 0
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert steps[-1] == 10
    assert "steps: 10" in (run / "config.yaml").read_text()

    drawn = []
    for seed in (1, 1, 2):
        assert cli("sample", "run=run", "n=1000", f"seed={seed}", "device=cpu")[0] == 0
        drawn.append(np.load(run / "samples.npz")["samples"])
    assert drawn[0].shape == (1000, 2)
    assert drawn[0].dtype == np.float32
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    with Image.open(run / "grid.png") as picture:
        assert picture.size[0] == 600
    assert "last, best" in cli("sample", "run=run", "checkpoint=7")[2]
    assert cli("sample", "run=run", "n=0")[0] == 2
    assert cli("sample", "run=run", "n=3", "out=elsewhere")[0] == 0
    assert np.load(tmp_path / "elsewhere" / "samples.npz")["samples"].shape == (3, 2)


def test_new_steps_replace_the_epochs_of_a_resumed_run(cli, tmp_path):
    assert cli(*TRAIN, "model=autoencoder", "trainer.epochs=1", "hydra.run.dir=run")[0] == 0
    assert "step 6 of 6" in cli("train", "resume=run")[1].replace("at step", "step")  # 100 points in batches of 16
    assert "step 9 of 9" in cli("train", "resume=run", "trainer.steps=9")[1]


def test_sample_writes_reconstructions_for_an_autoencoder(cli, tmp_path):
    assert cli(*TRAIN, "model=autoencoder", "trainer.steps=2", "hydra.run.dir=run")[0] == 0
    code, out, _ = cli("sample", "run=run", "n=5", "device=cpu")
    assert code == 0
    assert "no prior" in out
    with np.load(tmp_path / "run" / "samples.npz") as arrays:
        assert arrays["samples"].shape == arrays["originals"].shape == (5, 2)


def test_a_sweep_makes_one_readable_folder_per_job(cli, tmp_path):
    code, _, _ = cli(*TRAIN, "-m", "seed=0,1", "trainer.steps=2", "hydra/launcher=basic", "hydra.sweep.dir=sweep")
    assert code == 0
    jobs = sorted(path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir())
    assert [name.split("_")[0] for name in jobs] == ["0", "1"]
    assert "seed=0" in jobs[0]
    assert "seed=1" in jobs[1]


def test_runs_started_at_the_same_time_get_separate_folders(cli, tmp_path):
    for _ in range(2):
        assert cli(*TRAIN, "trainer.steps=1", "trainer.sample_every=0")[0] == 0
    assert len(list((tmp_path / "outputs" / "wgan_gp_gaussian2d").iterdir())) == 2


def test_prepare_prints_the_sizes_of_the_splits(cli):
    code, out, _ = cli("prepare", "data.n=123")
    assert code == 0
    assert "123 train" in out


def test_shell_completion_offers_commands_groups_and_choices(cli, monkeypatch):
    def complete(line):
        monkeypatch.setenv("COMP_LINE", line)
        return cli("-sc", "query=bash")[1].split()

    assert complete("genlab tr") == ["train"]
    assert "sample" in complete("genlab ")
    assert "model=" in complete("genlab train mo")
    assert "model=wgan_gp" in complete("genlab train model=wg")
    assert "run=" in complete("genlab sample r")
    assert "genlab" in cli("-sc", "install=bash")[1]


EAGER = ("trainer.execution=eager",)  # for so many steps `auto` would compile, which takes longer than these tests


def start(folder: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "genlab", *TRAIN, "trainer.steps=1000000", "trainer.checkpoint_every=20"]
    process = subprocess.Popen(
        [*command, *EAGER, "trainer.sample_every=0", "trainer.evaluate_every=0", f"hydra.run.dir={folder}", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (folder / "checkpoints" / "last.pt").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_cleanly(tmp_path, number, code):
    process = start(tmp_path / "run")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err.count("\n") == 1
    assert "resume=" in err
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "interrupted"
    assert status["reason"] == number.name


def test_a_killed_run_can_be_resumed_and_a_running_one_is_locked(cli, tmp_path):
    process = start(tmp_path / "run")
    code, _, err = cli("train", "resume=run", "trainer.device=cpu")
    assert code == 2
    assert f"process {process.pid}" in err
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    from genlab.trainer import checkpoint

    step = checkpoint.read(tmp_path / "run" / "checkpoints" / "last.pt")["step"]
    assert cli("train", "resume=run", f"trainer.steps={step + 3}")[0] == 0
    assert checkpoint.read(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == step + 3


@pytest.mark.parametrize(
    ("word", "message"),
    [("seed=${nothing}", "'nothing' not found"), ("optimizer.critic.betas=[]", "optimizer.critic: list index")],
)
def test_unresolvable_values_give_a_one_line_error(cli, word, message):
    code, out, err = cli("train", word, "trainer.steps=2", "hydra.run.dir=run")
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert "Traceback" not in out + err
    assert not Path("run").exists()
    assert cli("train", "trainer.steps=1", "hydra.run.dir=run")[0] == 0
    code, out, err = cli("train", "resume=run", "trainer.steps=2", word.replace("critic.betas", "critic.lr"))
    assert (code, err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.max_minutes=1e-9", "trainer.steps=50"], "ended by trainer.max_minutes: "),
        (
            ["trainer.patience=1", "trainer.evaluate_every=1", "trainer.steps=50", "optimizer.critic.lr=0.0"],
            "patience: ",
        ),
    ],
)
def test_the_summary_says_why_a_run_ended_early(cli, words, message):
    code, out, err = cli(*TRAIN, "trainer.sample_every=0", "trainer.evaluate_every=0", "hydra.run.dir=run", *words)
    assert (code, err) == (0, "")
    (line,) = [printed for printed in out.splitlines() if printed.startswith("step ")]
    assert message in line
    assert int(line.split()[1]) < 50


def test_the_summary_gives_no_reason_if_all_steps_ran(cli):
    out = cli(*TRAIN, "trainer.sample_every=0", "trainer.steps=1", "hydra.run.dir=run")[1]
    assert "ended by" not in out
