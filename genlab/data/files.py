"""What folders and tables of one's own share: finding the file, the version of the rules, lines to the user."""

import os
from collections.abc import Sequence
from pathlib import Path

from genlab.errors import UserError, choose

VERSIONS = (1, 2)  # of the rules by which files are read and split; 1 are those of runs that name no version


def check_version(version: int) -> None:
    """Check that there are such rules.

    Raises:
        UserError: there are none of this version.
    """
    choose("data.version", str(version), map(str, VERSIONS))


def find(path: str, kind: str) -> Path:
    """The absolute path of a file or folder ("file", "folder"), with ~ written out.

    Raises:
        UserError: there is none, or it is the other kind.
    """
    found = Path(os.path.abspath(os.path.expanduser(path)))
    if not found.exists():
        raise UserError(f"data.path: there is no {kind} {found}")
    if found.is_dir() != (kind == "folder"):
        raise UserError(f"data.path: {found} is {'a file' if kind == 'folder' else 'a folder'}, not a {kind}")
    return found


def note(line: str) -> None:
    """Tell the user something about the data that is no error. Of several ranks only the first speaks."""
    if os.environ.get("RANK", "0") == "0":
        # Names come from files: they must not steer the terminal.
        print("".join(c if c.isprintable() else repr(c)[1:-1] for c in line), flush=True)


def several(items: Sequence[str], show: int = 3, separator: str = ", ", what: str = "") -> str:
    """The first few items and how many more there are: `a, b, c and 4 more`.

    Args:
        what: a noun for the items that are not shown, such as "column".
    """
    more = len(items) - show
    noun = f" {what}{'s' * (more > 1)}" if what else ""
    return separator.join(items[:show]) + (f" and {more} more{noun}" if more > 0 else "")


def quoted(names: Sequence[str], what: str = "") -> str:
    """The first few names in quotes and how many more there are: `'a', 'b', 'c' and 4 more`."""
    return several([f"'{name}'" for name in names], what=what)
