"""Atomic file replacement: a failure at any moment leaves the old file and nothing else."""

import errno
import os
import stat

import pytest

from genlab.runs.files import move, write_atomically


@pytest.mark.parametrize("content", ["π\n", "π\n".encode(), lambda file: file.write("π\n".encode())])
def test_text_bytes_and_functions_are_written(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text("old, and longer")
    write_atomically(path, content)
    assert path.read_text(encoding="utf-8") == "π\n"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
@pytest.mark.parametrize("shared", [False, True])
def test_a_failure_leaves_the_old_file_unchanged(tmp_path, monkeypatch, where, shared):
    path = tmp_path / "a.pt"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where != "write":
        monkeypatch.setattr(os, where, full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, full if where == "write" else b"new", shared=shared)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.pt"]


def test_an_interruption_removes_the_temporary_file(tmp_path):
    def interrupted(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", interrupted)
    assert os.listdir(tmp_path) == []


def test_a_shared_file_can_be_read_by_other_users(tmp_path):
    write_atomically(tmp_path / "net.pt", b"x", shared=True)
    assert stat.S_IMODE((tmp_path / "net.pt").stat().st_mode) == 0o644


def test_the_folder_is_flushed_on_request(tmp_path, monkeypatch):
    flushed, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (flushed.append(stat.S_ISDIR(os.fstat(file).st_mode)), real(file)))
    write_atomically(tmp_path / "a", b"x")
    assert flushed == [False]
    write_atomically(tmp_path / "a", b"y", temporary=tmp_path / "b", sync_folder=True)
    assert flushed == [False, False, True]
    move(tmp_path / "a", tmp_path / "c", sync_folder=True)
    assert flushed == [False, False, True, True]
