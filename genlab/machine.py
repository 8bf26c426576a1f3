"""Settings of the machine: the cache folder, the encoding of the output, the number of threads."""

import functools
import io
import os
import sys
import tempfile
from pathlib import Path


def cache_root() -> Path:
    """Return genlab's folder in the user's cache folder: XDG_CACHE_HOME, else ~/.cache.

    If there is no home folder (an unknown user in a container), or it is not writable, this is a folder of the user in
    the system's temporary folder.
    """
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(os.path.expanduser(given)) / "genlab"
    home = os.path.expanduser("~")
    if home == "~":  # neither HOME nor an entry in the user database
        return _temporary()
    folder = Path(home, ".cache", "genlab")
    if os.path.isdir(folder):
        return folder
    existing = next(parent for parent in folder.parents if os.path.isdir(parent))
    return folder if os.access(existing, os.W_OK | os.X_OK) else _temporary()


@functools.cache
def _temporary() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "cache"
    folder = Path(tempfile.gettempdir()) / f"genlab-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Compiled code is loaded from here, so a folder that belongs to another user must not be used.
        usable = not folder.is_symlink() and (not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid())
    except OSError:  # a file of that name
        usable = False
    if not usable:
        folder = Path(tempfile.mkdtemp(prefix="genlab-"))
    os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))  # else it makes a new one each time, and warns
    return folder


def survive_any_encoding() -> None:
    r"""Make stdout and stderr escape characters that their encoding lacks: an arrow becomes \u2192 in latin-1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def threads_asked_for() -> int | None:
    """Return the number of CPU threads in OMP_NUM_THREADS; None if it holds no positive number.

    OpenMP allows a list such as `2,1`, with one number per level of nested parallelism; this returns the first.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None
