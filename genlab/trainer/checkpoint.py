"""Checkpoints on disk: atomic files of plain tensors and numbers, read without running code."""

import os
import re
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from genlab.errors import UserError, brief, out_of_memory
from genlab.runs.files import move, removed_on_failure, write_atomically

FORMAT = 3  # format 2 stored no fields; format 1 stored only a count, for its one monitor
State = dict[str, Any]


class Damaged(UserError):
    """A file that is not an intact checkpoint: truncated, with flipped bits, or never one at all."""


def write(path: Path, state: State) -> None:
    """Write `state` atomically: at any moment `path` is either the old file or the complete new one.

    Raises:
        OSError: the write failed; the temporary file has been removed.
    """

    def content(file: BinaryIO) -> None:
        try:
            torch.save({"format": FORMAT, **state}, file)
        except RuntimeError as error:  # torch.save reports a failed write like this, with the cause as context
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None

    try:
        write_atomically(path, content, temporary=path.with_suffix(".tmp"), sync_folder=True)
    except OSError as error:
        if error.errno and not error.filename:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def read(path: Path, device: torch.device | str = "cpu") -> State:
    """Read a checkpoint; with `weights_only=True`, only tensors, containers, numbers and strings are accepted.

    Raises:
        UserError: the file is absent or has a newer format.
        Damaged: the file is not intact, or not a checkpoint.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint {path}")
    try:
        verify(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # which exception torch.load raises depends on the damage
        if out_of_memory(error):
            raise MemoryError(f"reading {path}") from error
        raise Damaged(f"damaged checkpoint {path}: {brief(error)}") from error
    if not isinstance(state, dict) or not isinstance(state.get("format"), int):
        raise Damaged(f"{path} is not a genlab checkpoint")
    if state["format"] > FORMAT:
        raise UserError(
            f"{path} was written by a newer genlab (format {state['format']}, this one reads up to {FORMAT}): "
            "update genlab to use it"
        )
    if not isinstance(state.get("step"), int) or state["step"] < 0:
        raise Damaged(f"{path} is not a genlab checkpoint: it has no step number")
    return state


def verify(path: Path) -> None:
    """Check every entry of the file against its CRC-32, which torch.load does not do.

    Raises:
        ValueError, BadZipFile and others: the file is damaged; the type depends on the damage.
    """
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():  # torch.save never compresses: a compressed entry could fill the memory
            sizes_agree = entry.compress_type == zipfile.ZIP_STORED and entry.file_size == entry.compress_size
            if not sizes_agree or entry.external_attr:  # torch.load skips entries marked as folders
                raise ValueError(f"wrong entry {entry.filename}")
        if (name := archive.testzip()) is not None:
            raise ValueError(f"wrong checksum of {name}")


def newest(folder: Path) -> tuple[State | None, str]:
    """Returns the state in last.pt, else in the intact checkpoint with the most steps, and a warning for the user.

    The state is None if no checkpoint has been written yet. Temporary files left by a killed process are removed.

    Raises:
        UserError: all checkpoints are damaged, or last.pt has a newer format.
    """
    for partial in folder.glob("*.tmp"):
        partial.unlink(missing_ok=True)
    last, damage = folder / "last.pt", []

    def first_intact(paths: Iterable[Path]) -> list[tuple[State, Path]]:
        for path in paths:
            try:
                return [(read(path), path)]
            except Damaged as error:
                damage.append(str(error))
        return []

    if last.is_file() and (intact := first_intact([last])):
        return intact[0][0], ""
    best = folder / "best.pt"
    intact = first_intact(reversed(numbered(folder))) + first_intact([best] if best.is_file() else [])
    if intact:
        state, path = max(intact, key=lambda pair: pair[0]["step"])
        return state, f"{damage[0] if damage else f'no {last}'}; continuing from {path.name}, step {state['step']}"
    if damage:
        raise Damaged(f"{damage[0]}; no other checkpoint in {folder} is intact: start a new run with this config")
    return None, "no checkpoint yet: the run starts again at step 0"


def save(folder: Path, state: State, keep: int) -> Path:
    """Write `last.pt` and keep the newest `keep` numbered checkpoints; returns the path of `last.pt`."""
    folder.mkdir(exist_ok=True)  # no parents: a run folder that was removed is not made again
    last = folder / "last.pt"
    write(last, state)
    if keep:
        copy(last, folder / f"step_{state['step']:08d}.pt")
        for old in numbered(folder)[:-keep]:
            old.unlink(missing_ok=True)
    return last


def copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy if the file system has no hard links."""
    with removed_on_failure(target.with_suffix(".tmp")) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        move(temporary, target, sync_folder=True)


def numbered(folder: Path) -> list[Path]:
    """Returns the numbered checkpoints in a folder, oldest first."""
    return sorted(path for path in folder.glob("step_*.pt") if re.fullmatch(r"step_\d+\.pt", path.name))


def find(folder: Path, which: str) -> Path:
    """Returns the path of the checkpoint `which`: last, best or a step number.

    Raises:
        UserError: there is no such checkpoint; the message lists the available ones.
    """
    name = f"step_{int(which):08d}.pt" if which.isdecimal() else f"{which}.pt"
    path = folder / name
    if not path.is_file():
        have = [word for word in ("last", "best") if (folder / f"{word}.pt").is_file()]
        have += [str(int(path.stem[5:])) for path in numbered(folder)]
        raise UserError(f"no checkpoint '{which}' in {folder}; available: {', '.join(have) or 'none'}")
    return path
