"""`genlab train resume=FOLDER`: goes on with a run, or with all runs of a sweep that are not finished."""

from pathlib import Path
from typing import Any

from genlab.config.arguments import MULTIRUN, parse_overrides
from genlab.errors import UserError, did_you_mean
from genlab.sweep.folder import Job, Sweep, assignment
from genlab.sweep.grid import count
from genlab.sweep.pool import Pool, resources

OPTIONS = ("hydra.launcher.n_jobs", "hydra.launcher.threads")


def resume(arguments: list[str]) -> list[str]:
    """Go on with what lies in the folder; for a search return the words of the command that does so.

    Raises:
        UserError: no such folder, or an override that does not fit.
        RunFailed: a job of the sweep failed (again).
    """
    words = [each for each in arguments if each not in MULTIRUN]
    overrides = parse_overrides(words)
    (folder,) = [Path(str(each.value())) for each in overrides if each.key_or_group == "resume"][-1:]
    if not Sweep.is_one(folder):
        from genlab.commands.resume import resume as resume_run

        if words != arguments:
            raise UserError(f"{folder} holds no sweep, but a run or nothing: resume it without -m")
        resume_run(arguments)
        return []
    sweep = Sweep.open(folder.absolute())
    rest = [each for each in overrides if each.key_or_group != "resume"]
    if sweep.search is not None:
        new = [each.input_line or "" for each in rest] + [assignment("hydra.sweep.dir", sweep.folder)]
        keys = {word.split("=")[0] for word in new}
        return ["-m", *(word for word in sweep.search if word.split("=")[0] not in keys), *new]
    go_on(sweep, rest)
    return []


def go_on(sweep: Sweep, overrides: list[Any]) -> None:
    """Run the unfinished jobs of a sweep: from their last checkpoint, or from the start where there is none.

    Args:
        overrides: more words of the command line, as Hydra parsed them. Those of the sweep itself may be repeated;
            other values change the jobs that go on.

    Raises:
        UserError: a word that sweeps over other values than the sweep did, or an option that a launcher does not have.
        RunFailed: a job failed.
    """
    known = {word for job in sweep.jobs for word in job.overrides}
    options, changes = dict(sweep.launcher), []
    for each in overrides:
        key, line = each.key_or_group, each.input_line or ""
        if key in OPTIONS:
            options[key.split(".")[-1]] = count(key.split(".")[-1], each.value())
        elif key.startswith("hydra"):
            raise UserError(f"'{key}' cannot be changed in a resumed sweep{did_you_mean(key, OPTIONS)}")
        elif each.is_sweep_override():
            if not {f"{key}={value}" for value in each.sweep_string_iterator()} <= known:
                raise UserError(f"{line}: the sweep in {sweep.folder} has no such jobs; start a new sweep for them")
        elif line not in known:
            changes.append(line)
    left: list[Job] = [job for job in sweep.jobs if job.status not in ("finished", "pruned")]
    if not left:
        print(f"all {len(sweep.jobs)} jobs are finished")
        sweep.conclude()
        return
    chosen = {
        each.key_or_group: each.value()
        for each in parse_overrides([*left[0].overrides, *changes])
        if not each.is_delete()
    }
    device, devices = str(chosen.get("trainer.device", "auto")), chosen.get("trainer.devices", 1)
    if not isinstance(devices, int) or devices < 1:
        raise UserError(f"trainer.devices: {devices!r} is not a positive integer")
    slots, threads, gpus = resources(options.get("n_jobs", "auto"), options.get("threads", "auto"), device, devices)
    print(f"{len(left)} of {len(sweep.jobs)} jobs are not finished and go on, {min(slots, len(left))} at a time")
    interrupted = True
    try:
        Pool(sweep, slots, threads, gpus, changes).run(iter(left))
        interrupted = False
    finally:
        sweep.conclude(interrupted)
