"""What genlab asks of the machine it runs on: a folder for caches, output in its encoding, a number of threads."""

import functools
import io
import os
import sys
import tempfile
from pathlib import Path


def cache_root() -> Path:
    """Return genlab's folder in the user's cache folder: XDG_CACHE_HOME, else ~/.cache.

    Without a home folder (an unknown user in a container), or where nothing can be written into it, this is a folder
    of the user's own below the system's folder for temporary files.
    """
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(os.path.expanduser(given)) / "genlab"
    home = os.path.expanduser("~")
    if home == "~":  # neither HOME nor an entry in the user database
        return _temporary()
    folder = Path(home, ".cache", "genlab")
    if os.path.isdir(folder):
        return folder
    existing = next(each for each in folder.parents if os.path.isdir(each))
    return folder if os.access(existing, os.W_OK | os.X_OK) else _temporary()


@functools.cache
def _temporary() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "cache"
    folder = Path(tempfile.gettempdir()) / f"genlab-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Compiled code is loaded from here, so a folder that another user has put in its place is not used.
        usable = not folder.is_symlink() and (not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid())
    except OSError:  # a file of that name
        usable = False
    if not usable:
        folder = Path(tempfile.mkdtemp(prefix="genlab-"))
    os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))  # else it makes one anew each time, and says so
    return folder


def survive_any_encoding() -> None:
    r"""Let stdout and stderr escape what their encoding lacks: an arrow becomes \u2192 in latin-1, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def threads_asked_for() -> int | None:
    """Return the number of CPU threads in OMP_NUM_THREADS; None where it holds no positive number.

    OpenMP allows a list there, `2,1`, with a number for each level of nested parallelism; the first one counts.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None
