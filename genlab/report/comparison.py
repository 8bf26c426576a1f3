"""Runs side by side: which belong together, what they differ in, who is best by one measure. Imports no torch.

Runs whose configs differ in the seed alone are one configuration; its figures are means over the seeds with their
standard deviation (over n - 1). Figures are compared only where they were measured alike: by the same feature net, from
as many samples, against the same real ones. What was not is said.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from genlab.errors import UserError, choose
from genlab.metrics.measure import cost, known_word
from genlab.runs.history import History

# Keys that make no other model: what differs in these alone is one configuration.
INTERVALS = tuple(f"trainer.{what}_every" for what in ("log", "sample", "evaluate", "checkpoint", "histogram"))
NAMED = ("model._target_", "data._target_")  # which a table has as the run's name
ASIDE = ("seed", "name", "resume", "net", "data.root", "trainer.device", "trainer.threads", "trainer.keep", *INTERVALS)
# What to rank by when nobody says: the first of these that every run has, or else that most have.
PREFERRED = (
    *("fid", "w2", "sliced_w2", "translation_error", "bits_per_dim", "nll", "iwae_nll", "reconstruction_mse"),
    *("eval/fid", "eval/sliced_w2", "eval/translation_error", "eval/loss"),
)
SHOWN = (  # of all measures, those that a narrow table has room for
    *("fid", "kid", "precision", "recall", "classes", "balance", "modes", "high_quality", "w2", "sliced_w2"),
    *("nll", "bits_per_dim", "elbo", "iwae_nll", "reconstruction_mse", "active_units", "label_preservation"),
    *("translation_error", "cycle_error"),
)


class Figure(NamedTuple):
    """A measure of a configuration: mean and standard deviation over its seeds."""

    mean: float
    deviation: float | None  # None of a single run
    count: int


class Configuration:
    """Runs that differ in the seed alone."""

    def __init__(self, runs: Sequence[History]) -> None:
        self.runs = list(runs)
        self.settings = runs[0].settings

    @cached_property
    def states(self) -> list[str]:
        """How each run ended: finished, interrupted, failed, ..."""
        return [str(run.status.get("status", "unknown")) for run in self.runs]

    @property
    def state(self) -> str:
        """One word for all, or how many of each."""
        kinds = {state: self.states.count(state) for state in self.states}
        return next(iter(kinds)) if len(kinds) == 1 else ", ".join(f"{n} {state}" for state, n in kinds.items())

    def figure(self, name: str) -> Figure | None:
        """The measure over the runs that have it and did not fail; None where no run has."""
        found = [
            values[name]
            for run in self.runs
            if run.status.get("status") != "failed" and name in (values := measured(run))
        ]
        if not found:
            return None
        return Figure(statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None, len(found))


def measured(run: History) -> dict[str, float]:
    """What is known of a run, by name: what `genlab evaluate` found, and the last eval/... of the training loop."""
    during = run.result.get("measures") or {
        tag: curve[-1][1] for tag, curve in run.metrics.items() if tag.startswith("eval/") and curve
    }
    evaluated = {name: row["value"] for name, row in run.evaluation.get("measures", {}).items()}
    speed = run.result.get("samples_per_s")
    values = {**evaluated, **during, **({"samples_per_s": speed} if speed else {})}
    return {name: float(v) for name, v in values.items() if isinstance(v, (int, float)) and math.isfinite(v)}


def find_runs(folders: Iterable[str | Path]) -> list[History]:
    """The runs that these folders are, or hold at any depth; each once, in their order.

    Files are left out, and so are jobs of a sweep that never began: a shell gives both for `SWEEP/*`.

    Raises:
        UserError: a folder is absent or holds no run, or nothing is left.
    """
    found: dict[Path, History] = {}
    named = list(map(Path, folders))
    for folder in named:
        if folder.is_file():
            continue
        if not folder.is_dir():
            raise UserError(f"no folder {folder}")
        inside = run_folders(folder)
        if not inside and not (folder / "job.log").is_file():
            raise UserError(f"{folder} is no run folder and holds none: there is no config.yaml")
        for path in inside:
            found.setdefault(path.resolve(), History(path))
    if not found:
        raise UserError(f"there is no run in {', '.join(map(str, named))}")
    return list(found.values())


def run_folders(folder: Path) -> list[Path]:
    """The folder itself where it has a config.yaml, else those below it that have one."""
    if (folder / "config.yaml").is_file():
        return [folder]
    return sorted(path.parent for path in folder.rglob("config.yaml"))


def group(runs: Iterable[History]) -> list[Configuration]:
    """The runs by configuration, in the order of their first run."""
    groups: dict[tuple, list[History]] = {}
    for run in runs:
        key = tuple(sorted((k, repr(v)) for k, v in run.settings.items() if k not in ASIDE))
        key += (("fingerprint of the data", str(run.environment.get("data"))),)  # a file may have changed
        groups.setdefault(key, []).append(run)
    return [Configuration(members) for members in groups.values()]


def differing(configurations: Sequence[Configuration]) -> list[str]:
    """The keys that all configurations have, and whose values differ.

    A key that one model has and another lacks says no more than the name of the model does.
    """
    shared = set.intersection(*(set(c.settings) for c in configurations))
    return [
        key
        for key in configurations[0].settings
        if key in shared and key not in (*ASIDE, *NAMED) and len({repr(c.settings[key]) for c in configurations}) > 1
    ]


def choose_measure(configurations: Sequence[Configuration], word: str | None) -> str:
    """The measure to rank by: `word`, or the first preferred one that the most configurations have.

    Raises:
        UserError: no run has the measure of that name, or any at all.
    """
    names = {name: None for c in configurations for run in c.runs for name in measured(run)}
    if word is not None:
        choose("sort", word, names)
        return word
    counts = {name: sum(c.figure(name) is not None for c in configurations) for name in PREFERRED if name in names}
    if not counts:
        raise UserError("none of these runs has been measured: genlab evaluate run=RUN does that")
    return max(counts, key=lambda name: counts[name])


def rank(configurations: Sequence[Configuration], measure: str, better: str) -> list[Configuration]:
    """The best first by the mean of a measure; those without it last."""

    def place(c: Configuration) -> tuple[bool, float]:
        figure = c.figure(measure)
        return (figure is None, cost(figure.mean, better) if figure else 0.0)

    return sorted(configurations, key=place)


def direction(runs: Iterable[History], measure: str) -> str:
    """What is better of a measure, as in Measure.better: as is known of it, else as these runs' evaluations say."""
    from genlab.metrics.catalogue import MEASURES  # imports torch

    known = MEASURES.get(measure.removeprefix("eval/"))
    if known and known.better:
        return known.better
    words = (known_word(run.evaluation.get("measures", {}).get(measure, {}).get("better")) for run in runs)
    return next(filter(None, words), "min")


def calibration(runs: Iterable[History], column: str) -> dict[str, float]:
    """The `floor` or `noise` column of the first evaluation that has it, by measure."""
    found: dict[str, float] = {}
    for run in runs:
        for name, row in run.evaluation.get("measures", {}).items():
            if row.get(column) is not None:
                found.setdefault(name, row[column])
    return found


def trained_on(run: History) -> bool:
    """Whether a run went on after its last checkpoint was evaluated."""
    step, now = run.evaluation.get("step"), run.status.get("step")
    return run.evaluation.get("checkpoint") == "last" and None not in (step, now) and step != now


def unlike(runs: Sequence[History]) -> list[str]:
    """In what the evaluations of these runs are not alike, a sentence each; nothing where all figures compare."""

    def kinds(name: str, of: Mapping[str, Any]) -> str:
        if name == "net":
            net = of.get("net") or {}
            return f"{net.get('name', 'none')} {net.get('fingerprint', '')}".strip()
        if name == "data":
            return f"{of.get('data')} {of.get('fingerprint') or ''}".strip()
        return str(of.get(name))

    evaluations = [run.evaluation for run in runs if run.evaluation]
    found = []
    if evaluations and len(evaluations) < len(runs):
        found.append(f"{len(runs) - len(evaluations)} of {len(runs)} runs have not been evaluated")
    older = [run for run in runs if run.evaluation and trained_on(run)]
    if older:
        found.append(f"{len(older)} of {len(runs)} runs were trained on after they were evaluated")
    for name, text in (
        ("data", "data"),
        ("split", "split"),
        ("samples", "number of samples"),
        ("reference", "number of real samples"),
        ("net", "feature net"),
        ("checkpoint", "checkpoint"),
    ):
        values = sorted({kinds(name, each) for each in evaluations})
        if len(values) > 1:
            found.append(f"not measured alike: {text} {', '.join(values)}")
    return found
