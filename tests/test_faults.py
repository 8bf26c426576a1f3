"""A run is never lost: damaged checkpoints, full disks, removed folders, too little memory, two processes."""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import blobs, equal, trainer

from genlab.errors import UserError
from genlab.runs.folder import Run
from genlab.runs.tracker import Tracker
from genlab.trainer import checkpoint

OLD = Path(__file__).parent / "old_runs"
SMALL = (
    "train",
    "model=autoencoder",
    "model.encoder.hidden=[4]",
    "model.decoder.hidden=[4]",
    "trainer.device=cpu",
    "trainer.batch_size=8",
    "trainer.log_every=1",
    "trainer.sample_every=0",
    "trainer.evaluate_every=0",
    "trainer.checkpoint_every=2",
    "trainer.steps=6",
    "data.n=50",
    "hydra.run.dir=run",
)


def refused(answer: tuple[int, str, str], code: int, *words: str) -> None:
    """Asserts the exit code, and that stderr is one line that contains the words."""
    exit_code, _, err = answer
    assert (exit_code, err.count("\n")) == (code, 1), err
    assert err.startswith("genlab: ")
    for word in words:
        assert word in err


def flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.unlink()  # a hard link under another name is not changed
    path.write_bytes(data)


def test_any_damaged_byte_is_detected_or_harmless(tmp_path):
    path = tmp_path / "last.pt"
    torch.save({"format": 1, "step": 3, "x": torch.arange(5.0), "names": {"a": 1.5}}, path)
    state, data = checkpoint.read(path), path.read_bytes()
    detected = 0
    directory = data.index(b"PK\x01\x02")
    places = [*range(0, directory, 5), *range(directory, len(data))]
    for at in places:
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        try:
            assert equal(checkpoint.read(path), state), at
        except checkpoint.Damaged:
            detected += 1
    assert detected > len(places) // 3  # the rest is padding between the entries
    for length in range(0, len(data), 50):
        path.write_bytes(data[:length])
        with pytest.raises(checkpoint.Damaged):
            checkpoint.read(path)


def test_a_flipped_bit_in_a_weight_is_detected(tmp_path):
    path = tmp_path / "last.pt"
    weights = torch.arange(100.0)
    checkpoint.write(path, {"step": 1, "x": weights})
    flip(path, path.read_bytes().index(weights.numpy().tobytes()) + 9)
    assert not torch.equal(torch.load(path, weights_only=True)["x"], weights)  # torch misses it: why `verify` exists
    with pytest.raises(checkpoint.Damaged, match="checksum"):
        checkpoint.read(path)


def test_a_damaged_last_checkpoint_falls_back_to_the_newest_good_one(cli, tmp_path):
    assert cli(*SMALL, "trainer.keep=3")[0] == 0
    folder = tmp_path / "run" / "checkpoints"
    state = checkpoint.read(folder / "last.pt")
    last, sixth = folder / "last.pt", folder / "step_00000006.pt"
    flip(last, 900)
    code, _, err = cli("train", "resume=run")
    assert (code, err.count("\n")) == (0, 1)
    assert "damaged checkpoint" in err
    assert "continuing from step_00000006.pt" in err
    sixth.write_bytes(sixth.read_bytes()[:2000])
    (folder / "last.tmp").write_bytes(b"torn")
    code, out, err = cli("train", "resume=run")
    assert (code, err.count("\n")) == (0, 1)
    assert "continuing from step_00000004.pt, step 4" in err
    assert "step 4 to 6" in out
    assert equal(checkpoint.read(last), state)
    assert not list(folder.glob("*.tmp"))
    for path in folder.iterdir():
        path.write_bytes(b"")
    names = sorted(folder.iterdir())
    refused(cli("train", "resume=run"), 2, "is intact")
    assert sorted(folder.iterdir()) == names  # a refusal deletes nothing


def test_a_run_killed_before_its_first_checkpoint_starts_over(cli, tmp_path):
    assert cli(*SMALL)[0] == 0
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    state = checkpoint.read(last)
    shutil.rmtree(last.parent)
    code, _, err = cli("train", "resume=run")
    assert code == 0
    assert "starts again at step 0" in err
    assert equal(checkpoint.read(last), state)


class Full(RuntimeError):
    """The error of torch.save on a full disk, with the disk's own error as its context."""


@pytest.mark.parametrize("where", ["save", "fsync", "replace"])
def test_a_full_disk_keeps_the_last_checkpoint_and_gives_a_one_line_error(cli, tmp_path, monkeypatch, where):
    calls = 0
    real = {"save": torch.save, "fsync": os.fsync, "replace": os.replace}[where]

    def full(*arguments):
        nonlocal calls
        path = Path(getattr(arguments[-1], "name", "") if where == "save" else str(arguments[0]))
        calls += where == "fsync" or path.name == "last.tmp"
        if calls >= (5 if where == "fsync" else 2):
            try:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                if where == "save":
                    raise Full("unexpected pos 64 vs 0") from None
                raise
        return real(*arguments)

    monkeypatch.setattr(torch if where == "save" else os, where, full)
    refused(cli(*SMALL), 1, "No space left on device", "resume=", "/run")
    monkeypatch.undo()
    folder = tmp_path / "run" / "checkpoints"
    assert not list(folder.glob("*.tmp"))
    assert checkpoint.read(folder / "last.pt")["step"] in (2, 4)
    assert cli("train", f"resume={tmp_path / 'run'}")[0] == 0
    assert checkpoint.read(folder / "last.pt")["step"] == 6


def test_a_failure_in_tensorboards_thread_gives_a_one_line_error(cli, tmp_path, monkeypatch):
    from tensorboard.summary.writer.record_writer import RecordWriter

    written = 0

    def write(self, data):
        nonlocal written
        written += 1
        if written > 12 and (tmp_path / "run" / "checkpoints" / "last.pt").exists():  # late on a busy machine
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(RecordWriter, "write", write)
    refused(cli(*SMALL, "trainer.steps=200"), 1, "Input/output error", "resume=")
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "failed"
    monkeypatch.undo()
    assert cli("train", f"resume={tmp_path / 'run'}", "trainer.steps=20")[0] == 0


def test_a_folder_removed_while_running_gives_a_one_line_error_and_stays_removed(cli, tmp_path, monkeypatch):
    real = Tracker.log

    def log(self, step, values, partial=False):
        real(self, step, values, partial)
        if step == 3:
            (tmp_path / "run").rename(tmp_path / "elsewhere")  # at once, while TensorBoard's thread writes

    monkeypatch.setattr(Tracker, "log", log)
    refused(cli(*SMALL), 1, "was removed")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: 400 bytes"),
    ],
)
def test_out_of_memory_says_what_to_lower(cli, monkeypatch, error):
    from genlab.trainer.loop import Trainer

    def step(self):
        raise error

    monkeypatch.setattr(Trainer, "train_step", step)
    refused(cli(*SMALL), 1, "out of ", "trainer.batch_size", "trainer.accumulate")


def test_a_model_too_large_to_build_is_an_error_and_leaves_no_folder(cli, tmp_path):
    refused(cli(*SMALL, "model.encoder.hidden=[1000000,100000000]"), 1, "out of memory", "smaller model")
    assert not (tmp_path / "run").exists()


HOLDER = """
import sys
from pathlib import Path
from genlab.runs.folder import Run
with Run(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_locked_run_is_refused_until_its_holder_has_died(cli, tmp_path):
    assert cli(*SMALL)[0] == 0
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"held\n"
    (tmp_path / "run" / "checkpoints" / "last.pt").write_bytes(b"half written")
    for arguments in (("train", "resume=run"), SMALL):
        refused(cli(*arguments), 2, f"process {holder.pid} on {socket.gethostname()}")
    holder.kill()
    holder.communicate()
    assert str(holder.pid) in (tmp_path / "run" / ".lock").read_text()  # it had no time to remove its lock
    (tmp_path / "run" / "checkpoints" / "last.pt").unlink()
    assert cli("train", "resume=run")[0] == 0


def test_a_folder_that_is_being_removed_cannot_be_locked(tmp_path):
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    import fcntl

    real = fcntl.flock

    def flock(file, how):
        run.discard()  # the previous holder removes its new folder at this very moment
        real(file, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        with pytest.raises(UserError, match="being removed"), run.lock():
            pass
    assert not run.folder.exists()


def test_a_run_of_format_1_can_be_resumed(cli, tmp_path):
    shutil.copytree(OLD / "format_1", tmp_path / "run")
    code, out, err = cli("train", "resume=run", "trainer.steps=6")
    assert (code, err) == (0, "")
    assert "step 4 to 6" in out
    assert checkpoint.read(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 6
    assert cli("sample", "run=run", "n=3", "device=cpu")[0] == 0


def test_a_run_of_format_2_can_be_resumed(cli, tmp_path):
    """A conditional model on a table, from before checkpoints had class counts and the range of the data."""
    shutil.copytree(OLD / "format_2", tmp_path / "run")
    (tmp_path / "run" / "table.csv").rename(tmp_path / "table.csv")
    assert cli("evaluate", "run=run", "samples=20", "likelihood=2", "k=2", "device=cpu")[0] == 0  # the same splits
    code, out, _ = cli("sample", "run=run", "n=6", "device=cpu")
    assert code == 0
    assert "no class counts" in out
    assert cli("sample", "run=run", "n=6", "y=rare", "device=cpu")[0] == 0
    code, out, err = cli("train", "resume=run", "trainer.steps=6")
    assert (code, err) == (0, "")
    assert "step 4 to 6" in out
    state = checkpoint.read(tmp_path / "run" / "checkpoints" / "last.pt")
    assert state["counts"] == [24, 8]
    assert state["family"]["lowest"] == -torch.inf  # two batches do not give the range of the data: no clipping


def test_the_scale_of_a_vae_of_format_2_is_kept(cli, tmp_path):
    """The scale has moved from the model to its head; the loss is that of the version that wrote the run."""
    shutil.copytree(OLD / "format_2_vae", tmp_path / "run")
    before = checkpoint.read(tmp_path / "run" / "checkpoints" / "last.pt")["family"]["log_sigma"]
    assert cli("sample", "run=run", "n=3", "device=cpu")[0] == 0
    code, _, err = cli("train", "resume=run", "trainer.steps=8")
    assert (code, err) == (0, "")
    *_, last = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(last)["train/model/loss"] == pytest.approx(6.55466103553772, rel=1e-4)
    state = checkpoint.read(tmp_path / "run" / "checkpoints" / "last.pt")
    assert state["family"]["head.log_sigma"].item() == pytest.approx(before.item(), abs=0.02)
    assert state["format"] == 3


def test_a_run_of_format_3_can_be_resumed(cli, tmp_path):
    shutil.copytree(OLD / "format_3", tmp_path / "run")
    (tmp_path / "run" / "table.csv").rename(tmp_path / "table.csv")
    assert cli("evaluate", "run=run", "samples=20", "likelihood=2", "k=2", "device=cpu")[0] == 0
    code, out, err = cli("train", "resume=run", "trainer.steps=6")
    assert (code, err) == (0, "")
    assert "step 4 to 6" in out


def test_optional_parts_of_a_checkpoint_may_be_missing():
    run = trainer("vae", blobs(), steps=2)
    run.train_step()
    state = {key: value for key, value in run.state_dict().items() if key not in ("meter", "best", "collapse")}
    resumed = trainer("vae", blobs(), steps=2)
    resumed.load_state_dict(state | {"of_the_future": 1})
    assert resumed.step == 1
    with pytest.raises(UserError, match="does not fit"):
        resumed.load_state_dict(state | {"family": {}})
    with pytest.raises(UserError, match="does not fit"):
        resumed.load_state_dict(state | {"optimizers": 7})
