"""The two ways a command ends badly on purpose; everything else that is raised is a bug and shows its traceback."""

import operator
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class UserError(Exception):
    """The input is wrong. The message is one line: what was wrong, what is allowed. Exit code 2."""


class OptionError(UserError):
    """An option of an object is wrong. Whoever made the object knows where the config has it, and adds the path.

    Args:
        name: the option, dotted where it is one of a part ("beta", "generator.norm").
        what: what is wrong, what is allowed.
    """

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name, self.what = name, what


class RunFailed(Exception):
    """The input was fine, but the run could not go on (a loss that is not finite, say). Exit code 1."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return `"; did you mean 'steps'?"` for the nearest allowed word, or `""` where none is near."""
    near = get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def choose(what: str, word: str, allowed: Iterable[str]) -> None:
    """Check that `word` is one of `allowed`.

    Raises:
        OptionError: it is not; the message lists what is, and the nearest.
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
    """Check that low <= value <= high and above < value < below, as far as these are given; NaN never passes.

    Raises:
        OptionError: it is not so; the message says what the value must be.
    """
    bounds = ((">=", low), (">", above), ("<=", high), ("<", below))
    tests = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
    if not all(tests[sign](value, bound) for sign, bound in bounds if bound is not None):
        must = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
        raise OptionError(name, f"must be {must}, got {value}")


@contextmanager
def inside(part: str) -> Iterator[None]:
    """Within, an option that is wrong is one of this part: "norm" becomes "generator.norm"."""
    try:
        yield
    except OptionError as error:
        raise OptionError(f"{part}.{error.name}", error.what) from error


def brief(error: BaseException) -> str:
    """The text of an exception as one short line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, what caused it, what caused that, ...: each once, for OmegaConf raises some from themselves."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__


def out_of_memory(error: BaseException) -> bool:
    """Whether memory was short: Python's own, torch's on the host (a plain RuntimeError), or a device's."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


OUT_OF_MEMORY = ("allocate memory", "enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class Interrupted(Exception):
    """A signal ended the run in good order. Exit code 128 + its number."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal
