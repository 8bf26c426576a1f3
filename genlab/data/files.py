"""Code that the user's own folders and tables share: finding the file, the version of the rules, notes to the user."""

import os
from collections.abc import Sequence
from pathlib import Path

from genlab.errors import UserError, choose

VERSIONS = (1, 2)  # of the rules for reading and splitting files; a run that names no version has 1


def check_version(version: int) -> None:
    """Checks that this version of the rules exists.

    Raises:
        UserError: it does not exist.
    """
    choose("data.version", str(version), map(str, VERSIONS))


def find(path: str, kind: str, option: str = "data.path") -> Path:
    """Returns the absolute path of a file or folder, with ~ expanded.

    Args:
        kind: "file" or "folder".
        option: that names the path, for messages.

    Raises:
        UserError: the path does not exist, or is of the other kind.
    """
    absolute = Path(os.path.abspath(os.path.expanduser(path)))
    if not absolute.exists():
        raise UserError(f"{option}: there is no {kind} {absolute}")
    if absolute.is_dir() != (kind == "folder"):
        raise UserError(f"{option}: {absolute} is {'a file' if kind == 'folder' else 'a folder'}, not a {kind}")
    return absolute


def note(line: str) -> None:
    """Prints a line about the data that is not an error, on the first rank only."""
    if os.environ.get("RANK", "0") == "0":
        # Names come from files: escape sequences in them must not reach the terminal.
        print("".join(c if c.isprintable() else repr(c)[1:-1] for c in line), flush=True)


def several(items: Sequence[str], show: int = 3, separator: str = ", ", what: str = "") -> str:
    """Lists the first few items and counts the rest: `a, b, c and 4 more`.

    Args:
        what: a singular noun for the items that are not shown, such as "column".
    """
    more = len(items) - show
    noun = f" {what}{'s' * (more > 1)}" if what else ""
    return separator.join(items[:show]) + (f" and {more} more{noun}" if more > 0 else "")


def pasted(name: str) -> str:
    """Returns a name as an item of a list on the command line: in quotes if it has more than letters and digits."""
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else f"'{name}'"


def quoted(names: Sequence[str], what: str = "") -> str:
    """Lists the first few names in quotes and counts the rest: `'a', 'b', 'c' and 4 more`."""
    return several([f"'{name}'" for name in names], what=what)
