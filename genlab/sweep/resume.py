"""`genlab train resume=FOLDER`: continues a run, or all unfinished runs of a sweep."""

from pathlib import Path
from typing import Any

from genlab.config.arguments import MULTIRUN, parse_overrides
from genlab.errors import UserError, did_you_mean
from genlab.sweep.folder import Job, Sweep, assignment
from genlab.sweep.grid import count
from genlab.sweep.pool import Pool, resources

OPTIONS = ("hydra.launcher.n_jobs", "hydra.launcher.threads")


def resume(arguments: list[str]) -> list[str]:
    """Continues the run or sweep in the folder; for a search, returns the words of the command that continues it.

    Raises:
        UserError: the folder holds neither, or an override does not apply.
        RunFailed: a job of the sweep failed (again).
    """
    words = [item for item in arguments if item not in MULTIRUN]
    overrides = parse_overrides(words)
    (folder,) = [Path(str(item.value())) for item in overrides if item.key_or_group == "resume"][-1:]
    if not Sweep.is_one(folder):
        from genlab.commands.resume import resume as resume_run

        if words != arguments:
            raise UserError(f"{folder} does not hold a sweep; if it holds a run, resume it without -m")
        resume_run(arguments)
        return []
    sweep = Sweep.open(folder.absolute())
    rest = [item for item in overrides if item.key_or_group != "resume"]
    if sweep.search is not None:
        new = [item.input_line or "" for item in rest] + [assignment("hydra.sweep.dir", sweep.folder)]
        keys = {word.split("=")[0] for word in new}
        return ["-m", *(word for word in sweep.search if word.split("=")[0] not in keys), *new]
    go_on(sweep, rest)
    return []


def go_on(sweep: Sweep, overrides: list[Any]) -> None:
    """Runs the unfinished jobs of a sweep, from their last checkpoint or from the start if they have none.

    Args:
        overrides: further words of the command line, as parsed by Hydra. Those of the sweep itself may be repeated;
            others change the jobs that continue.

    Raises:
        UserError: a word sweeps over values that the sweep does not have, or an option cannot be changed.
        RunFailed: a job failed.
    """
    known = {word for job in sweep.jobs for word in job.overrides}
    options, changes = dict(sweep.launcher), []
    for item in overrides:
        key, line = item.key_or_group, item.input_line or ""
        if key in OPTIONS:
            options[key.split(".")[-1]] = count(key.split(".")[-1], item.value())
        elif key.startswith("hydra"):
            raise UserError(f"'{key}' cannot be changed in a resumed sweep{did_you_mean(key, OPTIONS)}")
        elif item.is_sweep_override():
            if not {f"{key}={value}" for value in item.sweep_string_iterator()} <= known:
                raise UserError(f"{line}: the sweep in {sweep.folder} has no such jobs; start a new sweep for them")
        elif line not in known:
            changes.append(line)
    left: list[Job] = [job for job in sweep.jobs if job.status not in ("finished", "pruned")]
    if not left:
        print(f"all {len(sweep.jobs)} jobs are finished")
        sweep.conclude()
        return
    chosen = {
        item.key_or_group: item.value()
        for item in parse_overrides([*left[0].overrides, *changes])
        if not item.is_delete()
    }
    device, devices = str(chosen.get("trainer.device", "auto")), chosen.get("trainer.devices", 1)
    if not isinstance(devices, int) or devices < 1:
        raise UserError(f"trainer.devices: {devices!r} is not a positive integer")
    slots, threads, gpus = resources(options.get("n_jobs", "auto"), options.get("threads", "auto"), device, devices)
    print(f"{len(left)} of {len(sweep.jobs)} jobs are not finished; resuming them, {min(slots, len(left))} at a time")
    interrupted = True
    try:
        Pool(sweep, slots, threads, gpus, changes).run(iter(left))
        interrupted = False
    finally:
        sweep.conclude(interrupted)
