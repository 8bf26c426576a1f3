"""What is said and left on disk when a run fails: one line, status.json, and the last good checkpoint untouched."""

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from genlab.errors import RunFailed, UserError, brief, out_of_memory
from genlab.runs.folder import Run

if TYPE_CHECKING:
    from genlab.trainer.loop import Trainer


def failure(run: Run, trainer: "Trainer", error: Exception) -> Exception:
    """What to raise for an error in the middle of a run; says it in status.json where the disk still takes that.

    Memory, the disk and a loss that is not finite are things that happen (`RunFailed`); all else is a bug and is
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
    """What to raise for an error while data and model are built; a run folder that is still empty is removed."""
    run.discard()
    if out_of_memory(error) and not isinstance(error, UserError):
        return RunFailed(memory(error))
    return error


def memory(error: BaseException) -> str:
    """What to do about a model or a batch that does not fit."""
    where = "the device's memory" if type(error).__name__ == "OutOfMemoryError" else "memory"
    asked = re.search(r"\d[\d.]* (bytes|[KMGT]iB)", str(error))
    at_once = f" ({asked[0]} asked for at once)" if asked else ""
    return (
        f"out of {where}{at_once}: lower trainer.batch_size, or raise trainer.accumulate, which cuts each batch into "
        "so many parts; or choose a smaller model or data set"
    )


def cannot_write(run: Run, error: OSError) -> RunFailed:
    """The disk is full, the folder is read-only, or it is gone."""
    if not run.folder.is_dir():
        return RunFailed(f"the run folder {run.folder} was removed while the run was going on; nothing of it is left")
    return RunFailed(f"cannot write {error.filename or run.folder}: {error.strerror or brief(error)}; {kept(run)}")


def kept(run: Run) -> str:
    """What there is to go on with."""
    last = run.checkpoints / "last.pt"
    if not last.is_file():
        return "there is no checkpoint yet"
    return f"the last good checkpoint is {last}; go on with: genlab train resume={run.folder}"
