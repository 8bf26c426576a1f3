"""Runs the jobs of a sweep, several at a time, each in its own process; only this module starts and signals them.

A job is a `genlab train ...` command that a user could type, so a crash, a leak or a kill affects no other job. Its
output goes to job.log in its folder.
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

LOOK = 0.1  # seconds between checks of the processes
PROGRAM = [sys.executable, "-m", "genlab"]
JUDGE = 2.0  # seconds between checks whether jobs are hopeless


class Running(NamedTuple):
    """A job and the process that runs it."""

    job: Job
    process: subprocess.Popen
    log: IO
    slot: int
    began: float


class Pool:
    """Runs jobs `slots` at a time.

    Args:
        threads: CPU threads per job; 0: torch decides.
        gpus: values of CUDA_VISIBLE_DEVICES, assigned to the slots in turn; empty: the jobs see all devices.
        changes: overrides to append to those of each job.
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
        """Runs all jobs of the iterator to their end; takes the next job when a slot is free.

        Args:
            ended: called with each job that has ended.
            hopeless: called regularly with each running job; true stops the job as pruned.

        Raises:
            UserError: another process is running this sweep.
            Interrupted: SIGINT or SIGTERM arrived; the jobs received it and have ended cleanly.
        """
        signals = Signals()
        self.sweep.folder.mkdir(parents=True, exist_ok=True)
        with Run(self.sweep.folder).lock(), signals:
            try:
                self._loop(jobs, ended, hopeless, signals)
            finally:
                for running in self.running:  # after an error in this process, leave no job behind
                    running.process.terminate()
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
                    for running in [running for running in self.running if hopeless(running.job)]:
                        running.job.status = "pruned"
                        running.process.terminate()
            except KeyboardInterrupt:  # a second SIGINT: stop at once, without a checkpoint
                for running in self.running:
                    running.process.kill()

    def command(self, job: Job) -> list[str]:
        """Returns the words after `genlab` that start a job, or resume it if it has started before."""
        run = self.sweep.run(job)
        if run.config.is_file():
            return ["train", assignment("resume", run.folder), *self.changes]
        return ["train", *self.sweep.flags, *job.overrides, *self.changes, assignment("hydra.run.dir", run.folder)]

    def _start(self, job: Job) -> None:
        folder = self.sweep.run(job).folder
        folder.mkdir(parents=True, exist_ok=True)
        slot = min(set(range(self.slots)) - {running.slot for running in self.running})
        command = self.command(job)
        job.status, job.reason = "running", ""
        self.sweep.save()  # before the job writes anything, to record that its folder belongs to this sweep
        log = open(folder / "job.log", "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 (as for Popen)
        log.write(f"$ genlab {' '.join(command)}\n")
        log.flush()
        process = subprocess.Popen(
            [*PROGRAM, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._environment(slot),
            process_group=0,  # otherwise Ctrl-C reaches the jobs twice: from the terminal and from this process
        )
        self.running.append(Running(job, process, log, slot, time.monotonic()))
        self._say(job, "started")

    def _environment(self, slot: int) -> dict[str, str]:
        package = str(Path(genlab.__file__).parents[1])  # the jobs use this genlab, whatever is installed
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
        environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"  # of job.log, whatever the terminal's encoding
        if self.threads:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[slot % len(self.gpus)]
        return environment

    def _collect(self, ended: Callable[[Job], None]) -> None:
        for done in [running for running in self.running if running.process.poll() is not None]:
            done.log.close()
            self.running.remove(done)
            job, code = done.job, done.process.returncode
            job.seconds += time.monotonic() - done.began
            self.sweep.read_result(job)
            self._judge(job, code)
            self.sweep.save()
            value = f", {job.measure} {job.value:.4g}" if job.value is not None else ""
            self._say(job, f"{job.status} in {job.seconds:.0f} s{value}{job.reason and ': ' + job.reason}")
            ended(job)

    def _judge(self, job: Job, code: int) -> None:
        """Sets the status of an ended job from its exit code, and writes it to status.json for the job."""
        run = self.sweep.run(job)
        if code == 0:
            job.status, job.reason = "finished", ""
            return
        stopped = job.status in ("pruned", "interrupted")  # by this process
        if code in (130, 143) or (stopped and code in (-signal.SIGINT, -signal.SIGTERM)):
            job.status = job.status if stopped else "interrupted"
            job.reason = f"at step {job.step}" if job.step else ""
        else:
            job.status = "failed"
            job.reason = (
                f"killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else last_line(run.folder)
            )
        if "is in use by" not in job.reason:  # otherwise the status belongs to the process that uses the folder
            run.write_status(job.status, job.reason, step=job.step)

    def _pass_on(self, number: int) -> None:
        for running in self.running:
            if running.job.status == "running":
                running.job.status = "interrupted"
                running.process.send_signal(number)

    def _say(self, job: Job, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {job.folder}: {text}", flush=True)


def last_line(folder: Path) -> str:
    """Returns the last line of a job's log, which is the error message."""
    lines = (folder / "job.log").read_text(encoding="utf-8", errors="replace").split("\n")
    return re.sub("^genlab: ", "", next((line for line in reversed(lines) if line.strip()), ""))[:200]


def resources(n_jobs: int | str, threads: int | str, device: str, devices: int = 1) -> tuple[int, int, list[str]]:
    """Returns the number of jobs at a time, the CPU threads per process, and the GPUs in groups of `devices` per job.

    Without a GPU, "auto" is half the cores: a small model gains more from a core of its own than from a second thread.
    """
    gpus = visible_gpus() if device in ("auto", "cuda") else []
    shares = [",".join(gpus[i : i + devices]) for i in range(0, len(gpus) - devices + 1, devices)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slots = (len(shares) or max(1, cores // (2 * devices))) if n_jobs == "auto" else int(n_jobs)
    if threads == "auto":
        threads = threads_asked_for() or max(1, cores // (slots * devices))
    return slots, int(threads), shares


def visible_gpus() -> list[str]:
    """Returns the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; asks the driver, not torch."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name.strip() not in ("", "-1")]
    try:
        command = ["nvidia-smi", "-L"]
        answer = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"^GPU (\d+):", answer.stdout, re.MULTILINE) if answer.returncode == 0 else []
