"""Replaces files so that each is at every moment either the old one or the whole new one, even after a power cut."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_atomically(
    path: Path,
    content: str | bytes | Callable[[BinaryIO], object],
    *,
    temporary: Path | None = None,
    shared: bool = False,
    sync_folder: bool = False,
) -> None:
    """Write a temporary file beside `path`, flush it to the disk and move it into the place of `path`.

    Args:
        content: text, which becomes UTF-8, or bytes, or a function that writes them into the open file.
        temporary: name of the temporary file; None: that of `path` with .tmp after it.
        shared: several processes may write `path` at once, so that each needs a temporary file of its own.
        sync_folder: flush the folder too, so that the new name outlives a power cut.

    Raises:
        OSError: the disk does not take it; nothing of the attempt is left.
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
            os.fsync(file.fileno())  # or a power cut may leave the new name with nothing in it
        if shared:
            os.chmod(temporary, 0o644)  # mkstemp lets nobody else read it
        move(temporary, path, sync_folder)


@contextmanager
def removed_on_failure(temporary: Path) -> Iterator[Path]:
    """Within, a file is made that will be moved to its place; where it does not come to that, it is removed."""
    try:
        yield temporary
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # a full disk needs the room
        raise


def move(temporary: Path, path: Path, sync_folder: bool = False) -> None:
    """Give a whole file its name, in the place of an older one; `sync_folder` flushes the folder to the disk."""
    os.replace(temporary, path)
    if sync_folder:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
