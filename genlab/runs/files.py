"""Replaces files atomically: at any moment a file is the old or the complete new one, even after a power cut."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

BEGUN = ".begun-"  # what the name of a file starts with while it is written


def write_atomically(
    path: Path,
    content: str | bytes | Callable[[BinaryIO], object],
    *,
    temporary: Path | None = None,
    shared: bool = False,
    sync_folder: bool = False,
) -> None:
    """Write a temporary file beside `path`, flush it to disk and move it to `path`.

    Args:
        content: text (encoded as UTF-8), bytes, or a function that writes to the open file.
        temporary: the temporary file; None: `path` with .tmp appended.
        shared: several processes may write `path` at the same time, so each needs its own temporary file.
        sync_folder: flush the folder too, so that the new name survives a power cut.

    Raises:
        OSError: the write failed; the temporary file has been removed.
    """
    content = content.encode() if isinstance(content, str) else content
    if shared:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
    with removed_on_failure(temporary or path.with_name(f"{path.name}.tmp")) as temporary:
        with open(temporary, "wb") as file:
            content(file) if callable(content) else file.write(content)
            file.flush()
            os.fsync(file.fileno())  # without this, a power cut may leave an empty file under the new name
        if shared:
            os.chmod(temporary, 0o644)  # mkstemp makes it readable only by its owner
        move(temporary, path, sync_folder)


@contextmanager
def removed_on_failure(temporary: Path) -> Iterator[Path]:
    """Context in which a temporary file is written; removes it if an exception is raised."""
    try:
        yield temporary
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # on a full disk, its space is needed
        raise


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Context in which a file is written beside `path`, with its suffix, and moved to `path` when it is complete.

    If an exception is raised, the file is removed and an older one at `path` stays.
    """
    with removed_on_failure(path.with_name(f"{BEGUN}{path.name}")) as temporary:
        yield temporary
        move(temporary, path)


def move(temporary: Path, path: Path, sync_folder: bool = False) -> None:
    """Move a complete file to `path`, replacing an older one; `sync_folder` flushes the folder to disk."""
    os.replace(temporary, path)
    if sync_folder:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
