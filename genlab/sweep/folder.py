"""The folder of a sweep: its jobs and their status, and the table at the end.

sweep.json (the full state, rewritten when a job starts or ends)  sweep.csv (the table)  a run folder for each job
"""

import csv
import json
import math
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from typing import Any

from genlab.config.arguments import quote
from genlab.errors import RunFailed, UserError, brief
from genlab.metrics.measure import NEAR, cost, known_word
from genlab.runs.files import write_atomically
from genlab.runs.folder import Run, to_json

COLUMNS: tuple[str, ...] = ("rank", "job", "overrides", "measure", "value", "step", "seconds", "status", "reason")


@dataclass
class Job:
    """One run of a sweep."""

    number: int
    folder: str  # path relative to the sweep's folder
    overrides: list[str]  # the words after `genlab train`
    status: str = "queued"  # queued, running, finished, failed, interrupted, pruned
    reason: str = ""
    measure: str = ""  # name of the monitored measure
    better: str = "min"  # which values are better, as in Measure.better
    value: float | None = None  # best value of the measure
    step: int | None = None
    seconds: float = 0.0  # total run time of its processes, including resumed ones


@dataclass
class Sweep:
    """The jobs of one `genlab train -m`, and what is needed to resume it."""

    folder: Path
    jobs: list[Job] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)  # Hydra's flags for every job: further config folders
    launcher: dict[str, Any] = field(default_factory=dict)
    search: list[str] | None = None  # the command line of a search, which makes its jobs while it runs

    @classmethod
    def open(cls, folder: Path) -> "Sweep":
        """Reads the sweep in an existing folder.

        Raises:
            UserError: sweep.json is damaged or cannot be read.
        """
        path = folder / "sweep.json"
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            sweep = cls(folder, **{**state, "jobs": [Job(**job) for job in state["jobs"]]})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"damaged {path}: {brief(error)}") from error
        for job in sweep.jobs:
            job.value, job.better = _finite(job.value), known_word(job.better) or "min"
        return sweep

    @staticmethod
    def is_one(folder: Path) -> bool:
        return (folder / "sweep.json").is_file()

    def save(self) -> None:
        """Writes sweep.json atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {key: value for key, value in asdict(self).items() if key != "folder"}
        write_atomically(self.folder / "sweep.json", to_json(state, indent=1) + "\n")

    def run(self, job: Job) -> Run:
        return Run(self.folder / job.folder)

    def add(self, jobs: Iterable[Job]) -> None:
        """Adds new jobs, all or none.

        Raises:
            UserError: the folder of a job is not below the sweep's, is also another job's (even if they differ only in
                case, which some file systems ignore), or already holds a run that is not part of this sweep.
        """
        new, taken = list(jobs), {job.folder.casefold() for job in self.jobs}
        for job in new:
            path = PurePath(job.folder)
            if path.is_absolute() or ".." in path.parts or path == PurePath():
                raise UserError(f"hydra.sweep.subdir: '{job.folder}' is not the name of a folder in {self.folder}")
            if job.folder.casefold() in taken:
                raise UserError(
                    f"hydra.sweep.subdir gives two jobs the folder '{job.folder}': add ${{hydra:job.num}} to it"
                )
            if self.run(job).config.exists():
                raise UserError(
                    f"{self.run(job).folder} holds a run that is not part of this sweep: choose another hydra.sweep.dir"
                )
            taken.add(job.folder.casefold())
        self.jobs += new

    def read_result(self, job: Job) -> None:
        """Reads the results of a job from its own files."""
        result = _read(self.run(job).folder / "result.json")
        best = result.get("best") or {}
        job.measure, job.value = best.get("measure", ""), _finite(best.get("value"))
        job.better = known_word(best.get("better")) or "min"
        job.step = result.get("step") or _read(self.run(job).folder / "status.json").get("step")

    def differing(self, job: Job) -> str:
        """Returns the overrides of a job that not all jobs have."""
        common = set.intersection(*(set(other.overrides) for other in self.jobs)) if len(self.jobs) > 1 else set()
        return " ".join(word for word in job.overrides if word not in common)

    def ranks(self) -> dict[int, int]:
        """Returns the rank, from 1, of each job number with a value; ranks only compare jobs with the same measure."""
        places: dict[int, int] = {}
        for measure in {job.measure for job in self.jobs}:
            rated = [job for job in self.jobs if job.measure == measure and job.value is not None]
            words = [job.better for job in rated]
            # Older jobs still say "max" for a measure that was later found to be best near a value.
            better = next((word for word in words if word.startswith(NEAR)), words[0] if words else "")
            rated.sort(key=lambda job: (cost(job.value or 0.0, better), job.number))
            places |= {job.number: place for place, job in enumerate(rated, 1)}
        return places

    def rows(self) -> list[dict[str, Any]]:
        """Returns the rows of the table: the best jobs first, those without a value last."""
        ranks = self.ranks()
        last = len(self.jobs) + 1
        order = sorted(self.jobs, key=lambda job: (job.value is None, job.measure, ranks.get(job.number, last)))
        return [
            {"rank": ranks.get(job.number, ""), "job": job.number, "overrides": self.differing(job)}
            | {name: getattr(job, name) for name in COLUMNS[3:]}
            for job in order
        ]

    def table(self) -> str:
        """Returns the table as text, and writes it to sweep.csv."""
        rows = self.rows()
        with open(self.folder / "sweep.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        shown = [
            (
                *(str(row[name]) for name in ("rank", "job", "overrides")),
                "" if row["value"] is None else f"{row['measure']} {row['value']:.4g}",
                f"{row['seconds']:.0f} s",
                row["status"] + (f": {row['reason']}" if row["reason"] and row["status"] != "finished" else ""),
            )
            for row in rows
        ]
        lines = [("rank", "job", "overrides", "measure", "time", "status"), *shown]
        widths = [max(len(line[column]) for line in lines) for column in range(5)]
        text = ["  ".join([*(cell.ljust(w) for cell, w in zip(line, widths, strict=False)), line[5]]) for line in lines]
        if len({job.measure for job in self.jobs if job.measure}) > 1:
            text.append("The jobs monitor different measures; ranks are per measure. Set trainer.monitor to use one.")
        return "\n".join(text)

    def conclude(self, interrupted: bool = False) -> None:
        """Prints the table and the sweep's folder.

        Raises:
            RunFailed: a job failed.
        """
        self.save()
        print(f"\n{self.table()}\nsweep folder: {self.folder}", flush=True)
        failed = [job for job in self.jobs if job.status not in ("finished", "pruned")]
        if failed and not interrupted:
            hint = f"see the job.log of each; try them again with: {again(self.folder)}"
            raise RunFailed(f"{len(failed)} of {len(self.jobs)} jobs did not finish; {hint}")


def again(folder: Path) -> str:
    """Returns the command that resumes a sweep or a run."""
    return f"genlab train {shlex.quote(f'resume={folder}')}"


def assignment(key: str, value: object) -> str:
    """Returns `key=value` in Hydra's grammar, quoted so that the value may contain any characters."""
    return f"{key}={quote(str(value))}"


def _finite(value: object) -> float | None:
    """Returns a number that can be ranked, else None: older versions of genlab could write NaN."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
