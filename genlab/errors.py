"""Exceptions that end a command with a one-line message. Any other exception is a bug and shows its traceback."""

import operator
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class UserError(Exception):
    """Wrong input. The message is one line: what was wrong and what is allowed. Exit code 2."""


class OptionError(UserError):
    """A wrong option of an object. The code that builds the object adds its path in the config.

    Args:
        name: the option, dotted if it belongs to a part ("beta", "generator.norm").
        what: what is wrong and what is allowed.
    """

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name, self.what = name, what


class RunFailed(Exception):
    """A failure of a run with valid input (its loss is not finite, say). Exit code 1."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return `"; did you mean 'steps'?"` for the nearest allowed word, or `""` where none is near."""
    near = get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def choose(what: str, word: str, allowed: Iterable[str]) -> None:
    """Check that `word` is one of `allowed`.

    Raises:
        OptionError: it is not; the message lists the allowed words and suggests the nearest.
    """
    allowed = list(allowed)
    if word not in allowed:
        raise OptionError(what, f"'{word}' is none of {', '.join(allowed)}{did_you_mean(word, allowed)}")


def within(
    name: str,
    value: float,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> None:
    """Check that low <= value <= high and above < value < below, for the bounds that are given; NaN never passes.

    Raises:
        OptionError: the value is out of bounds; the message states them.
    """
    bounds = ((">=", low), (">", above), ("<=", high), ("<", below))
    tests = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
    if not all(tests[sign](value, bound) for sign, bound in bounds if bound is not None):
        must = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
        raise OptionError(name, f"must be {must}, got {value}")


@contextmanager
def inside(part: str) -> Iterator[None]:
    """Context that prefixes the names in OptionErrors with `part`: "norm" becomes "generator.norm"."""
    try:
        yield
    except OptionError as error:
        raise OptionError(f"{part}.{error.name}", error.what) from error


def brief(error: BaseException) -> str:
    """Returns the text of an exception as one short line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an exception and its chain of causes, each once, since OmegaConf raises some from themselves."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__


def out_of_memory(error: BaseException) -> bool:
    """Returns whether memory ran out: in Python, in torch on the host (a plain RuntimeError), or on a device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


OUT_OF_MEMORY = ("allocate memory", "enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class Interrupted(Exception):
    """A clean end of a run by a signal. Exit code 128 + the signal number."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal
