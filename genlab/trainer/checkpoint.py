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

FORMAT = 3  # 2 had no fields; 1 had one monitor, and kept of it a count
State = dict[str, Any]


class Damaged(UserError):
    """The file is not what was written: cut short, bits flipped, or never a checkpoint."""


def write(path: Path, state: State) -> None:
    """Write `state` so that `path` is at every moment either the old file or the whole new one.

    Raises:
        OSError: the disk does not take it; nothing of the attempt is left.
    """

    def content(file: BinaryIO) -> None:
        try:
            torch.save({"format": FORMAT, **state}, file)
        except RuntimeError as error:  # how torch.save says that a write failed, the reason behind it
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None

    try:
        write_atomically(path, content, temporary=path.with_suffix(".tmp"), sync_folder=True)
    except OSError as error:
        if error.errno and not error.filename:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def read(path: Path, device: torch.device | str = "cpu") -> State:
    """Read a checkpoint; `weights_only=True` refuses everything but tensors, containers, numbers and strings.

    Raises:
        UserError: it is absent or of a newer format.
        Damaged: it is not whole, or not a checkpoint.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint {path}")
    try:
        verify(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises whatever the damage leads to
        if out_of_memory(error):
            raise MemoryError(f"reading {path}") from error
        raise Damaged(f"damaged checkpoint {path}: {brief(error)}") from error
    if not isinstance(state, dict) or not isinstance(state.get("format"), int):
        raise Damaged(f"{path} is no genlab checkpoint")
    if state["format"] > FORMAT:
        raise UserError(
            f"{path} was written by a newer genlab (format {state['format']}, this one reads up to {FORMAT}): "
            "update genlab to go on with it"
        )
    if not isinstance(state.get("step"), int) or state["step"] < 0:
        raise Damaged(f"{path} is no genlab checkpoint: it names no step")
    return state


def verify(path: Path) -> None:
    """Compare every entry of the file with its CRC-32, which torch.load does not look at.

    Raises:
        ValueError, BadZipFile and others: the file is damaged; which, depends on the damage.
    """
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():  # torch.save compresses nothing; a small file could fill the memory
            sizes_agree = entry.compress_type == zipfile.ZIP_STORED and entry.file_size == entry.compress_size
            if not sizes_agree or entry.external_attr:  # of what is marked as a folder torch.load reads nothing
                raise ValueError(f"wrong entry {entry.filename}")
        if (name := archive.testzip()) is not None:
            raise ValueError(f"wrong checksum of {name}")


def newest(folder: Path) -> tuple[State | None, str]:
    """The state of last.pt or, where that is damaged or absent, of the good one with most steps; and what to say.

    The state is None where no checkpoint has been written yet. What a killed process left half written is removed.

    Raises:
        UserError: all are damaged, or last.pt is of a newer format.
    """
    for torn in folder.glob("*.tmp"):
        torn.unlink(missing_ok=True)
    last, damage = folder / "last.pt", []

    def first(paths: Iterable[Path]) -> list[tuple[State, Path]]:
        for path in paths:
            try:
                return [(read(path), path)]
            except Damaged as error:
                damage.append(str(error))
        return []

    if last.is_file() and (found := first([last])):
        return found[0][0], ""
    best = folder / "best.pt"
    good = first(reversed(numbered(folder))) + first([best] if best.is_file() else [])
    if good:
        state, path = max(good, key=lambda each: each[0]["step"])
        return state, f"{damage[0] if damage else f'no {last}'}; going on from {path.name}, step {state['step']}"
    if damage:
        raise Damaged(f"{damage[0]}; and there is no good one in {folder}: start a new run with the config of this one")
    return None, "no checkpoint yet: the run starts again at step 0"


def save(folder: Path, state: State, keep: int) -> Path:
    """Write `last.pt`, and beside it the newest `keep` numbered ones; return the path of `last.pt`."""
    folder.mkdir(exist_ok=True)  # not its parents: a run folder that was removed stays so
    last = folder / "last.pt"
    write(last, state)
    if keep:
        copy(last, folder / f"step_{state['step']:08d}.pt")
        for old in numbered(folder)[:-keep]:
            old.unlink(missing_ok=True)
    return last


def copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`: a hard link where the file system has them, else a copy."""
    with removed_on_failure(target.with_suffix(".tmp")) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        move(temporary, target, sync_folder=True)


def numbered(folder: Path) -> list[Path]:
    """The numbered checkpoints of a folder, oldest first."""
    return sorted(path for path in folder.glob("step_*.pt") if re.fullmatch(r"step_\d+\.pt", path.name))


def find(folder: Path, which: str) -> Path:
    """The checkpoint that a word names: last, best or a step's number.

    Raises:
        UserError: there is none of that name; the message lists those there are.
    """
    name = f"step_{int(which):08d}.pt" if which.isdecimal() else f"{which}.pt"
    path = folder / name
    if not path.is_file():
        have = [word for word in ("last", "best") if (folder / f"{word}.pt").is_file()]
        have += [str(int(path.stem[5:])) for path in numbered(folder)]
        raise UserError(f"no checkpoint '{which}' in {folder}; there are: {', '.join(have) or 'none'}")
    return path
