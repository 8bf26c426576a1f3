"""Runs the jobs of a sweep, each in a process of its own, some at a time; the one place that starts and signals them.

A job is the command `genlab train ...` that one could type: a crash, a leak or a kill stays its own. What it prints
goes to job.log in its folder.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import genlab
from genlab.commands.signals import Signals
from genlab.errors import Interrupted
from genlab.machine import threads_asked_for
from genlab.runs.folder import Run
from genlab.sweep.folder import Job, Sweep, again, assignment

LOOK = 0.1  # seconds between looks at the processes
PROGRAM = [sys.executable, "-m", "genlab"]
JUDGE = 2.0  # seconds between questions whether a job is hopeless


class Running(NamedTuple):
    job: Job
    process: subprocess.Popen
    log: IO
    slot: int
    began: float


class Pool:
    """Runs jobs `slots` at a time.

    Args:
        threads: CPU threads of each job; 0 leaves them to torch.
        gpus: devices as CUDA_VISIBLE_DEVICES names them, one a slot in turn; empty: the jobs see what there is.
        changes: overrides that come after each job's own.
    """

    def __init__(self, sweep: Sweep, slots: int, threads: int, gpus: list[str], changes: list[str] | None = None):
        self.sweep, self.slots, self.threads, self.gpus = sweep, slots, threads, gpus
        self.changes = changes or []
        self.running: list[Running] = []

    def run(
        self,
        jobs: Iterator[Job],
        ended: Callable[[Job], None] = lambda job: None,
        hopeless: Callable[[Job], bool] = lambda job: False,
    ) -> None:
        """Run the jobs that the iterator gives, asked for one whenever a slot is free, to their end.

        Args:
            ended: told of each job that has ended.
            hopeless: asked now and then of each running job; true ends it, as pruned.

        Raises:
            UserError: another process is at this sweep.
            Interrupted: SIGINT or SIGTERM came; the jobs were handed it and have ended, in good order.
        """
        signals = Signals()
        self.sweep.folder.mkdir(parents=True, exist_ok=True)
        with Run(self.sweep.folder).lock(), signals:
            try:
                self._loop(jobs, ended, hopeless, signals)
            finally:
                for each in self.running:  # an error of our own leaves no job behind
                    each.process.terminate()
            self.sweep.save()
        if signals.number:
            raise Interrupted(f"sweep interrupted; go on with: {again(self.sweep.folder)}", signals.number)

    def _loop(
        self, jobs: Iterator[Job], ended: Callable[[Job], None], hopeless: Callable[[Job], bool], signals: Signals
    ) -> None:
        judged, exhausted = time.monotonic(), False
        while True:
            try:
                while not signals.number and not exhausted and len(self.running) < self.slots:
                    if (job := next(jobs, None)) is None:
                        exhausted = True
                    else:
                        self._start(job)
                if not self.running:
                    return
                time.sleep(LOOK)
                self._collect(ended)
                if signals.number:
                    self._pass_on(signals.number)
                elif time.monotonic() - judged > JUDGE:
                    judged = time.monotonic()
                    for each in [each for each in self.running if hopeless(each.job)]:
                        each.job.status = "pruned"
                        each.process.terminate()
            except KeyboardInterrupt:  # a second SIGINT: at once, without a checkpoint
                for each in self.running:
                    each.process.kill()

    def command(self, job: Job) -> list[str]:
        """The words after `genlab` that start a job, or go on with it where it has begun."""
        run = self.sweep.run(job)
        if run.config.is_file():
            return ["train", assignment("resume", run.folder), *self.changes]
        return ["train", *self.sweep.flags, *job.overrides, *self.changes, assignment("hydra.run.dir", run.folder)]

    def _start(self, job: Job) -> None:
        folder = self.sweep.run(job).folder
        folder.mkdir(parents=True, exist_ok=True)
        slot = min(set(range(self.slots)) - {each.slot for each in self.running})
        command = self.command(job)
        job.status, job.reason = "running", ""
        self.sweep.save()  # before the job writes anything, so that its folder is known to be this sweep's
        log = open(folder / "job.log", "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 (as for Popen)
        log.write(f"$ genlab {' '.join(command)}\n")
        log.flush()
        process = subprocess.Popen(
            [*PROGRAM, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._environment(slot),
            process_group=0,  # else Ctrl-C on the terminal reaches the jobs twice: from it and from us
        )
        self.running.append(Running(job, process, log, slot, time.monotonic()))
        self._say(job, "starts")

    def _environment(self, slot: int) -> dict[str, str]:
        package = str(Path(genlab.__file__).parents[1])  # the same genlab as here, whatever is installed
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
        environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"  # of job.log, whatever the terminal takes
        if self.threads:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[slot % len(self.gpus)]
        return environment

    def _collect(self, ended: Callable[[Job], None]) -> None:
        for each in [each for each in self.running if each.process.poll() is not None]:
            each.log.close()
            self.running.remove(each)
            job, code = each.job, each.process.returncode
            job.seconds += time.monotonic() - each.began
            self.sweep.read_result(job)
            self._judge(job, code)
            self.sweep.save()
            figure = f", {job.measure} {job.value:.4g}" if job.value is not None else ""
            self._say(job, f"{job.status} in {job.seconds:.0f} s{figure}{job.reason and ': ' + job.reason}")
            ended(job)

    def _judge(self, job: Job, code: int) -> None:
        """What became of a job, from its exit code; said in its status.json too where it could not do so itself."""
        run = self.sweep.run(job)
        if code == 0:
            job.status, job.reason = "finished", ""
            return
        asked = job.status in ("pruned", "interrupted")  # by us
        if code in (130, 143) or (asked and code in (-signal.SIGINT, -signal.SIGTERM)):
            job.status = job.status if asked else "interrupted"
            job.reason = f"at step {job.step}" if job.step else ""
        else:
            job.status = "failed"
            job.reason = (
                f"killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else last_line(run.folder)
            )
        if "is in use by" not in job.reason:  # else the status is that of the process which has the folder
            run.write_status(job.status, job.reason, step=job.step)

    def _pass_on(self, number: int) -> None:
        for each in self.running:
            if each.job.status == "running":
                each.job.status = "interrupted"
                each.process.send_signal(number)

    def _say(self, job: Job, what: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {job.folder}: {what}", flush=True)


def last_line(folder: Path) -> str:
    """The last line of a job's log: the error's message."""
    lines = (folder / "job.log").read_text(encoding="utf-8", errors="replace").split("\n")
    return re.sub("^genlab: ", "", next((line for line in reversed(lines) if line.strip()), ""))[:200]


def resources(n_jobs: int | str, threads: int | str, device: str, devices: int = 1) -> tuple[int, int, list[str]]:
    """How many jobs at a time, CPU threads of each process, and the GPUs to deal out, `devices` to each job.

    Without a GPU half the cores: a small model gains more from a core of its own than from a second thread.
    """
    gpus = visible_gpus() if device in ("auto", "cuda") else []
    shares = [",".join(gpus[i : i + devices]) for i in range(0, len(gpus) - devices + 1, devices)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slots = (len(shares) or max(1, cores // (2 * devices))) if n_jobs == "auto" else int(n_jobs)
    if threads == "auto":
        threads = threads_asked_for() or max(1, cores // (slots * devices))
    return slots, int(threads), shares


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; asked of the driver, without torch."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [each for each in chosen.split(",") if each.strip() not in ("", "-1")]
    try:
        command = ["nvidia-smi", "-L"]
        answer = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"^GPU (\d+):", answer.stdout, re.MULTILINE) if answer.returncode == 0 else []
