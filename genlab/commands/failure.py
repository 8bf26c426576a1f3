"""Reports a failed run: one line for the user, and status.json; the last good checkpoint stays untouched."""

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from genlab.errors import RunFailed, UserError, brief, out_of_memory
from genlab.runs.folder import Run

if TYPE_CHECKING:
    from genlab.trainer.loop import Trainer


def failure(run: Run, trainer: "Trainer", error: Exception) -> Exception:
    """Returns what to raise for an error during a run, and writes it to status.json if possible.

    Lack of memory, a disk error and a loss that is not finite become a `RunFailed`; any other error is a bug and is
    returned as it is, to show its traceback.
    """
    with suppress(OSError):
        run.write_status("failed", f"{type(error).__name__}: {brief(error)}", step=trainer.step)
    if out_of_memory(error):
        return RunFailed(f"{memory(error)}; {kept(run)}")
    if isinstance(error, RunFailed):
        return RunFailed(f"{error}; lower the learning rate or set trainer.clip_grad_norm; {kept(run)}")
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        return cannot_write(run, error)
    return error


def before_training(run: Run, error: Exception) -> Exception:
    """Returns what to raise for an error while data and model are built; removes a run folder that is still empty."""
    run.discard()
    if out_of_memory(error) and not isinstance(error, UserError):
        return RunFailed(memory(error))
    return error


def memory(error: BaseException) -> str:
    """Returns advice on a model or batch that does not fit into memory."""
    where = "the device's memory" if type(error).__name__ == "OutOfMemoryError" else "memory"
    asked = re.search(r"\d[\d.]* (bytes|[KMGT]iB)", str(error))
    at_once = f" ({asked[0]} requested at once)" if asked else ""
    return (
        f"out of {where}{at_once}: lower trainer.batch_size; or raise trainer.accumulate, the number of parts each "
        "batch is cut into; or choose a smaller model or data set"
    )


def cannot_write(run: Run, error: OSError) -> RunFailed:
    """Returns the failure for a disk that is full, or a folder that is read-only or gone."""
    if not run.folder.is_dir():
        return RunFailed(f"the run folder {run.folder} was removed during the run; nothing of it is left")
    return RunFailed(f"cannot write {error.filename or run.folder}: {error.strerror or brief(error)}; {kept(run)}")


def kept(run: Run) -> str:
    """Returns a sentence on the last checkpoint and how to resume from it."""
    last = run.checkpoints / "last.pt"
    if not last.is_file():
        return "there is no checkpoint yet"
    return f"the last good checkpoint is {last}; resume with: genlab train resume={run.folder}"
