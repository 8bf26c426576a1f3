"""Checkpoints on disk: atomic files of plain tensors and numbers, read without running code."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from genlab.errors import UserError, brief

FORMAT = 2  # 1 had one monitor, and kept of it a count
State = dict[str, Any]


def write(path: Path, state: State) -> None:
    """Write `state` so that `path` is at every moment either the old file or the whole new one."""
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        torch.save({"format": FORMAT, **state}, file)
        file.flush()
        os.fsync(file.fileno())
    _replace(temporary, path)


def read(path: Path, device: torch.device | str = "cpu") -> State:
    """Read a checkpoint; `weights_only=True` refuses everything but tensors, containers, numbers and strings.

    Raises:
        UserError: it is absent, damaged, not a checkpoint, or of a newer format.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint {path}")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises whatever the damage leads to
        raise UserError(f"damaged checkpoint {path}: {brief(error)}") from error
    if not isinstance(state, dict) or "format" not in state:
        raise UserError(f"{path} is no genlab checkpoint")
    if state["format"] > FORMAT:
        raise UserError(f"{path} was written by a newer genlab (format {state['format']}, this one reads {FORMAT})")
    return state


def save(folder: Path, state: State, keep: int) -> Path:
    """Write `last.pt`, and beside it the newest `keep` numbered ones; return the path of `last.pt`."""
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / "last.pt"
    write(last, state)
    if keep:
        copy(last, folder / f"step_{state['step']:08d}.pt")
        for old in numbered(folder)[:-keep]:
            old.unlink(missing_ok=True)
    return last


def copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`: a hard link where the file system has them, else a copy."""
    temporary = target.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    _replace(temporary, target)


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


def _replace(temporary: Path, path: Path) -> None:
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name must outlive a power cut as well
    finally:
        os.close(folder)
