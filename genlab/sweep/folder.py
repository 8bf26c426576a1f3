"""The sweep's folder: which jobs there are, how each of them stands; the table at the end.

sweep.json (the whole state, written anew when a job starts or ends)  sweep.csv (the table)  a run folder for each job
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
    folder: str  # its name below the sweep's folder
    overrides: list[str]  # the words after `genlab train`
    status: str = "queued"  # queued, running, finished, failed, interrupted, pruned
    reason: str = ""
    measure: str = ""  # the monitored one
    better: str = "min"  # what is better of it, as in Measure.better
    value: float | None = None  # its best value
    step: int | None = None
    seconds: float = 0.0  # from start to end of its processes, resumed ones added


@dataclass
class Sweep:
    """The jobs of one `genlab train -m`, and what is needed to go on with it."""

    folder: Path
    jobs: list[Job] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)  # of Hydra, for every job: where more configs are
    launcher: dict[str, Any] = field(default_factory=dict)
    search: list[str] | None = None  # the words of a search, which makes its jobs as it goes

    @classmethod
    def open(cls, folder: Path) -> "Sweep":
        """The sweep in an existing folder.

        Raises:
            UserError: sweep.json cannot be read as one.
        """
        path = folder / "sweep.json"
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            sweep = cls(folder, **{**state, "jobs": [Job(**each) for each in state["jobs"]]})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"damaged {path}: {brief(error)}") from error
        for job in sweep.jobs:
            job.value, job.better = _finite(job.value), known_word(job.better) or "min"
        return sweep

    @staticmethod
    def is_one(folder: Path) -> bool:
        return (folder / "sweep.json").is_file()

    def save(self) -> None:
        """Write sweep.json, so that at every moment it is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {key: value for key, value in asdict(self).items() if key != "folder"}
        write_atomically(self.folder / "sweep.json", to_json(state, indent=1) + "\n")

    def run(self, job: Job) -> Run:
        return Run(self.folder / job.folder)

    def add(self, jobs: Iterable[Job]) -> None:
        """Take in new jobs, all or none.

        Raises:
            UserError: the folder of one is not below the sweep's, is another job's (also where a file system takes
                small and capital letters for the same), or holds a run already, which is not this sweep's.
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
                    f"{self.run(job).folder} holds a run that is not of this sweep: choose another hydra.sweep.dir"
                )
            taken.add(job.folder.casefold())
        self.jobs += new

    def read_result(self, job: Job) -> None:
        """Take over from the job's own files what it reached."""
        result = _read(self.run(job).folder / "result.json")
        best = result.get("best") or {}
        job.measure, job.value = best.get("measure", ""), _finite(best.get("value"))
        job.better = known_word(best.get("better")) or "min"
        job.step = result.get("step") or _read(self.run(job).folder / "status.json").get("step")

    def differing(self, job: Job) -> str:
        """The overrides in which this job differs from others."""
        common = set.intersection(*(set(each.overrides) for each in self.jobs)) if len(self.jobs) > 1 else set()
        return " ".join(each for each in job.overrides if each not in common)

    def ranks(self) -> dict[int, int]:
        """The places, from 1, of the jobs that have a value, by number; jobs of unlike measures are not compared."""
        places: dict[int, int] = {}
        for measure in {job.measure for job in self.jobs}:
            rated = [job for job in self.jobs if job.measure == measure and job.value is not None]
            words = [job.better for job in rated]
            # Of a measure that was found to be best near a value, older jobs still say "max".
            better = next((word for word in words if word.startswith(NEAR)), words[0] if words else "")
            rated.sort(key=lambda job: (cost(job.value or 0.0, better), job.number))
            places |= {job.number: place for place, job in enumerate(rated, 1)}
        return places

    def rows(self) -> list[dict[str, Any]]:
        """The table: the best first, then those without a value."""
        ranks = self.ranks()
        last = len(self.jobs) + 1
        order = sorted(self.jobs, key=lambda job: (job.value is None, job.measure, ranks.get(job.number, last)))
        return [
            {"rank": ranks.get(job.number, ""), "job": job.number, "overrides": self.differing(job)}
            | {name: getattr(job, name) for name in COLUMNS[3:]}
            for job in order
        ]

    def table(self) -> str:
        """The table as text; also written as sweep.csv."""
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
            text.append("The jobs follow unlike measures: ranks are within each. trainer.monitor=... makes it one.")
        return "\n".join(text)

    def conclude(self, interrupted: bool = False) -> None:
        """Print the table and the sweep's folder.

        Raises:
            RunFailed: a job failed.
        """
        self.save()
        print(f"\n{self.table()}\nsweep folder: {self.folder}", flush=True)
        failed = [job for job in self.jobs if job.status not in ("finished", "pruned")]
        if failed and not interrupted:
            hint = f"each says why in its job.log; try them again with: {again(self.folder)}"
            raise RunFailed(f"{len(failed)} of {len(self.jobs)} jobs did not finish; {hint}")


def again(folder: Path) -> str:
    """The command that goes on with a sweep or a run."""
    return f"genlab train {shlex.quote(f'resume={folder}')}"


def assignment(key: str, value: object) -> str:
    """`key=value` in Hydra's grammar, whatever characters (=, comma, blank) the value has."""
    return f"{key}={quote(str(value))}"


def _finite(value: object) -> float | None:
    """A number that can be ranked, else None: an older genlab could write NaN."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
