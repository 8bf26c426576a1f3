"""Measures taken one by one: what one of them raises becomes the reason why it is missing, and the others go on.

A table with one test row has no covariance, three images have no fifth neighbour: that is no reason to lose the rest
of a report, or a training run.
"""

import errno
from collections.abc import Callable, Mapping
from typing import TypeVar

from genlab.errors import UserError, brief

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # a full or read-only disk
Reasons = dict[str, str]  # why a measure or a picture is missing, by its name
T = TypeVar("T")


def attempt(name: str, make: Callable[[], T], reasons: Reasons | None) -> T | None:
    """Return what `make` returns, or None where it raises; `reasons[name]` then says why.

    Args:
        reasons: None lets the exception through.

    Raises:
        OSError: the disk takes nothing more: that ends a run in any case.
    """
    if reasons is None:
        return make()
    try:
        return make()
    except Exception as error:  # whatever a measure of odd data leads to
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        reasons[name] = why(error)
        return None


def attempt_all(parts: Mapping[str, Callable[[], Mapping[str, float]]], reasons: Reasons | None) -> dict[str, float]:
    """The values of all parts that can be had, each part tried by itself; `reasons` names the parts that cannot."""
    values: dict[str, float] = {}
    for name, part in parts.items():
        values |= attempt(name, part, reasons) or {}
    return values


def why(error: Exception) -> str:
    """An exception as a reason: the message alone where it was meant for the user, else its kind as well."""
    return brief(error) if isinstance(error, (UserError, ValueError)) else f"{type(error).__name__}: {brief(error)}"
