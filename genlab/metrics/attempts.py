"""Takes measures one by one: if one raises, the error is kept as the reason why it is missing, and the others go on.

A table with one test row has no covariance, and three images have no fifth neighbour, but that must not cost the rest
of a report or a training run.
"""

import errno
from collections.abc import Callable, Mapping
from typing import TypeVar

from genlab.errors import UserError, brief

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # a full or read-only disk
Reasons = dict[str, str]  # why a measure or a picture is missing, by its name
T = TypeVar("T")


def attempt(name: str, make: Callable[[], T], reasons: Reasons | None) -> T | None:
    """Returns the result of `make`, or None if it raises; `reasons[name]` then says why.

    Args:
        reasons: with None, the exception is raised.

    Raises:
        OSError: the disk is full or read-only, which ends a run in any case.
    """
    if reasons is None:
        return make()
    try:
        return make()
    except Exception as error:  # a measure of unusual data may raise anything
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        reasons[name] = why(error)
        return None


def attempt_all(parts: Mapping[str, Callable[[], Mapping[str, float]]], reasons: Reasons | None) -> dict[str, float]:
    """Returns the values of all parts, each tried by itself; failures are recorded in `reasons`."""
    values: dict[str, float] = {}
    for name, part in parts.items():
        values |= attempt(name, part, reasons) or {}
    return values


def why(error: Exception) -> str:
    """Returns an exception as a reason: only the message if it is meant for the user, otherwise with its type."""
    return brief(error) if isinstance(error, (UserError, ValueError)) else f"{type(error).__name__}: {brief(error)}"
