"""Training on several devices, with one process (a rank) for each.

`trainer.devices=N` starts N ranks on this machine and watches them (`launch`); only rank 0 prints, evaluates and
writes. Ranks started by torchrun, on one machine or several, are configured by its environment variables (RANK,
WORLD_SIZE, MASTER_ADDR); nothing is started then. Imports no torch, because the watching process does not need it.
"""

import math
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stderr, redirect_stdout, suppress
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from genlab.commands.failure import kept, memory
from genlab.commands.signals import Signals
from genlab.config import build
from genlab.errors import Interrupted, RunFailed, UserError, brief, out_of_memory
from genlab.machine import survive_any_encoding
from genlab.runs.folder import Run

if TYPE_CHECKING:
    from genlab.trainer.loop import Trainer
    from genlab.trainer.options import Options

GRACE = 5.0  # seconds that the other ranks get to report when one has failed
VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR")  # set by torchrun, and for ranks that were started here
ORPHAN = 600.0  # seconds a rank gets to write its last checkpoint once the process that started it is gone


def member() -> bool:
    """Returns whether this process is one of several ranks."""
    return all(name in os.environ for name in VARIABLES)


def is_first() -> bool:
    """Returns whether this process prints and writes: it is alone, or rank 0."""
    return not member() or os.environ["RANK"] == "0"


def lock(run: Run) -> AbstractContextManager[None]:
    """Lock the run's folder once for all ranks: in the process that launches them, or in rank 0 under torchrun."""
    return run.lock() if is_first() else nullcontext()


def join(options: "Options") -> None:
    """Join the ranks that torchrun has started; does nothing in a single process."""
    if member():
        from genlab.trainer import distributed

        rank, size, local_rank, local_size = (
            int(os.environ.get(name, default))
            for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1))
        )
        distributed.join(options, rank, size, local_rank, local_size)


def follow(trainer: "Trainer", run: Run) -> None:
    """Train along with rank 0 without output; removes the folder that Hydra made for this rank, if it is empty."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
        Signals(),
    ):
        trainer.fit()
    run.discard()


KILLED = "killed"  # the kind of a report that the watching process writes on behalf of a rank


class Ending(NamedTuple):
    """How a rank ended."""

    rank: int
    kind: str = ""  # class of the exception; "": none
    text: str = ""
    value: float | None = None  # what the function returned
    signal: int = 0
    traceback: str = ""


def launch(work: Callable, run: Run, config: DictConfig, resumed: bool) -> float | None:
    """Run `work(run, config, state)` in `trainer.devices` ranks on this machine; returns what rank 0 returns.

    SIGINT and SIGTERM are forwarded to rank 0, which stops all ranks cleanly.

    Args:
        resumed: whether `state` is the run's newest checkpoint; else it is None.

    Raises:
        UserError, RunFailed, Interrupted: raised by a rank.
        RunFailed: a rank was killed, or failed because of a bug, whose traceback is printed.
    """
    size, context = config.trainer.devices, get_context("spawn")
    plain = OmegaConf.to_container(config, resolve=True)
    with tempfile.TemporaryDirectory(prefix="genlab-") as shared, Signals() as signals:
        pipes = [context.Pipe(duplex=False) for _ in range(size)]
        processes = [
            context.Process(
                target=_rank,
                args=(rank, size, work, run.folder, plain, resumed, f"{shared}/store", pipes[rank][1]),
                name=f"rank {rank}",
            )
            for rank in range(size)
        ]
        try:
            for process, (_, ours) in zip(processes, pipes, strict=True):
                process.start()
                ours.close()
            reports = _watch(processes, [pipe for pipe, _ in pipes], signals)
        finally:
            for process in processes:
                if process.pid:
                    process.kill()
                    process.join()
    return _conclude(run, reports, signals.number)


def _watch(processes: Sequence[Any], pipes: Sequence[connection.Connection], signals: Signals) -> list[Ending]:
    """Wait until all ranks have ended, or `GRACE` seconds after one has failed; returns their reports in order."""
    reports, pending, deadline, forwarded = [], list(pipes), math.inf, False
    while time.monotonic() < deadline:
        alive = [process for process in processes if process.exitcode is None]
        if alive:
            connection.wait([*(process.sentinel for process in alive), *pending], timeout=0.2)
        if signals.number and not forwarded:
            os.kill(processes[0].pid, signals.number)
            forwarded = True
        for pipe in [pipe for pipe in pending if pipe.poll()]:
            pending.remove(pipe)
            with suppress(EOFError):  # it died without a report
                reports.append(pipe.recv())
        for rank, process in enumerate(processes):
            if process.exitcode and deadline == math.inf:
                deadline = time.monotonic() + GRACE
                if process.exitcode < 0:
                    name = signal.Signals(-process.exitcode).name
                    text = f"rank {rank} (process {process.pid}) was killed by {name}"
                    reports.insert(0, Ending(rank, KILLED, text))
        if not alive:
            break
    return reports


def _conclude(run: Run, reports: Sequence[Ending], number: int) -> float | None:
    """Return the result of the ranks or raise their error, and write a failure to status.json.

    Args:
        number: the signal that was received; 0: none.
    """
    first = next((report for report in reports if report.rank == 0 and report.kind != KILLED), None)
    if first and first.kind == "":
        return first.value
    if first and first.kind == "Interrupted":
        raise Interrupted(first.text, first.signal)
    if number and not first:
        raise Interrupted(f"{signal.Signals(number).name} before training began", number)
    if not reports:
        raise _failed(run, "a rank ended without reporting an error")
    # If a loss is not finite, all ranks raise the same error; the report of rank 0 has more detail.
    cause = first if first and first.kind == reports[0].kind else reports[0]
    if cause.kind == "UserError":
        raise UserError(cause.text)
    if cause.kind == "RunFailed" and cause.rank == 0:
        raise RunFailed(cause.text)
    if cause.traceback:
        print(cause.traceback, file=sys.stderr)
    known = {KILLED: cause.text, "RunFailed": f"rank {cause.rank}: {cause.text}"}
    raise _failed(run, known.get(cause.kind, f"rank {cause.rank} failed: {cause.kind}: {cause.text}"))


def _failed(run: Run, text: str) -> RunFailed:
    if run.config.exists():
        run.write_status("failed", text)
    return RunFailed(f"{text}; {kept(run)}")


def _rank(
    rank: int,
    size: int,
    work: Callable,
    folder: Path,
    plain: dict,
    resumed: bool,
    store: str,
    pipe: connection.Connection,
) -> None:
    """Run one rank, in a process that `launch` started."""
    survive_any_encoding()
    os.setsid()  # so that Ctrl-C in the terminal reaches only the watching process
    if rank:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # if all processes of a job are signalled, only rank 0 acts
    threading.Thread(target=_orphan, daemon=True).start()
    tqdm.set_lock(threading.RLock())  # the default is a system semaphore, which outlives a killed process
    os.environ.update(
        dict(zip(VARIABLES, (str(rank), str(size), "localhost"), strict=True)),
        LOCAL_RANK=str(rank),
        LOCAL_WORLD_SIZE=str(size),
    )
    from genlab.trainer import checkpoint, distributed

    try:
        config = OmegaConf.create(plain)
        OmegaConf.set_struct(config, True)
        distributed.join(build.options(config), rank, size, rank, size, store)
        run = Run(folder)
        state = checkpoint.newest(run.checkpoints)[0] if resumed else None
        report = Ending(rank, value=work(run, config, state))
    except Interrupted as error:
        report = Ending(rank, "Interrupted", str(error), signal=error.signal)
    except KeyboardInterrupt:
        report = Ending(rank, "Interrupted", "SIGINT before training began", signal=signal.SIGINT)
    except (UserError, RunFailed) as error:
        report = Ending(rank, type(error).__name__, str(error))
    except Exception as error:
        if out_of_memory(error):
            report = Ending(rank, "RunFailed", memory(error))
        else:
            report = Ending(rank, type(error).__name__, brief(error), traceback=traceback.format_exc())
    with suppress(BrokenPipeError):  # nobody is listening any more
        pipe.send(report)
    if report.kind not in ("", "Interrupted"):
        os._exit(1)  # leaving the group properly could wait for the others for ever
    distributed.leave()


def _orphan() -> None:
    """Stop this rank cleanly when the process that started it is gone."""
    parent = parent_process()
    if parent:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN)
        os._exit(1)
