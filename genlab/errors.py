"""The two ways a command ends badly on purpose; everything else that is raised is a bug and shows its traceback."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches


class UserError(Exception):
    """The input is wrong. The message is one line: what was wrong, what is allowed. Exit code 2."""


class RunFailed(Exception):
    """The input was fine, but the run could not go on (a loss that is not finite, say). Exit code 1."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return `"; did you mean 'steps'?"` for the nearest allowed word, or `""` where none is near."""
    near = get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def choose(what: str, word: str, allowed: Iterable[str]) -> None:
    """Check that `word` is one of `allowed`.

    Raises:
        UserError: it is not; the message lists what is, and the nearest.
    """
    allowed = list(allowed)
    if word not in allowed:
        raise UserError(f"{what}: '{word}' is none of {', '.join(allowed)}{did_you_mean(word, allowed)}")


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
