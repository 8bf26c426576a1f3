"""Checkpoints are written completely or not at all, hold only plain data, and the newest K are kept."""

import os
import pickle

import pytest
import torch

from genlab.errors import UserError
from genlab.trainer import checkpoint


def test_a_failed_write_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    checkpoint.write(path, {"step": 1, "x": torch.arange(3)})
    assert torch.equal(checkpoint.read(path)["x"], torch.arange(3))

    def power_cut(*_):
        raise OSError("power cut")

    monkeypatch.setattr(os, "replace", power_cut)
    with pytest.raises(OSError, match="power cut"):
        checkpoint.write(path, {"step": 2, "x": torch.zeros(3)})
    assert checkpoint.read(path)["step"] == 1


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/owned",)

    path = tmp_path / "last.pt"
    torch.save({"format": 1, "step": Evil()}, path)
    with pytest.raises(UserError, match="damaged"):
        checkpoint.read(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="damaged"):
        checkpoint.read(path)
    assert not (tmp_path / "owned").exists()


def test_truncated_foreign_newer_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "last.pt"
    checkpoint.write(path, {"step": 1, "x": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(UserError, match="damaged"):
        checkpoint.read(path)
    torch.save({"weights": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="not a genlab checkpoint"):
        checkpoint.read(path)
    torch.save({"format": checkpoint.FORMAT + 1}, path)
    with pytest.raises(UserError, match="newer genlab"):
        checkpoint.read(path)
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoint.read(tmp_path / "nothing.pt")


def test_the_newest_numbered_checkpoints_are_kept_and_found(tmp_path):
    for step in (5, 10, 15):
        checkpoint.save(tmp_path, {"step": step}, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "step_00000010.pt", "step_00000015.pt"]
    assert checkpoint.read(checkpoint.find(tmp_path, "10"))["step"] == 10
    assert checkpoint.read(checkpoint.find(tmp_path, "last"))["step"] == 15
    with pytest.raises(UserError, match=r"'5'.*last, 10, 15"):
        checkpoint.find(tmp_path, "5")
    checkpoint.save(tmp_path, {"step": 20}, keep=0)
    # Step 15 was a hard link to the old last.pt, which saving step 20 replaced without changing the file.
    assert checkpoint.read(checkpoint.find(tmp_path, "15"))["step"] == 15
