"""Compares runs: groups them, finds the settings they differ in, ranks them by a measure. Imports no torch.

Runs whose configs differ only in the seed form one configuration; its figures are means over the seeds with their
standard deviation (over n - 1). Figures compare only if they were measured in the same way: with the same feature net
and number of samples, against the same real samples. `unlike` lists the differences.
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

# Keys that do not change the model: runs that differ only in these form one configuration.
INTERVALS = tuple(f"trainer.{what}_every" for what in ("log", "sample", "evaluate", "checkpoint", "histogram"))
NAMED = ("model._target_", "data._target_")  # which tables show as the name of the run
ASIDE = ("seed", "name", "resume", "net", "data.root", "trainer.device", "trainer.threads", "trainer.keep", *INTERVALS)
# The default measure to rank by is the one of these that most runs have, the first of several.
PREFERRED = (
    *("fid", "rocket_frechet", "mean_ratio", "w2", "sliced_w2", "translation_error"),
    *("bits_per_dim", "nll", "iwae_nll", "reconstruction_mse"),
    *("eval/fid", "eval/sliced_w2", "eval/mean_mmd", "eval/translation_error", "eval/loss"),
)
SHOWN = (  # the measures that a narrow table has room for
    *("fid", "kid", "precision", "recall", "classes", "balance", "modes", "high_quality", "w2", "sliced_w2"),
    *("discriminative_score", "predictive_score", "rocket_frechet", "timegan_discriminative", "timegan_predictive"),
    *("valid", "degree_mmd", "clustering_mmd", "orbit_mmd", "spectrum_mmd", "mean_ratio", "unique", "novel"),
    *("nll", "bits_per_dim", "elbo", "iwae_nll", "reconstruction_mse", "active_units", "label_preservation"),
    *("translation_error", "cycle_error"),
)


class Figure(NamedTuple):
    """A measure of a configuration: its mean and standard deviation over the seeds."""

    mean: float
    deviation: float | None  # None for a single run
    count: int


class Configuration:
    """Runs that differ only in the seed."""

    def __init__(self, runs: Sequence[History]) -> None:
        self.runs = list(runs)
        self.settings = runs[0].settings

    @cached_property
    def states(self) -> list[str]:
        """The status of each run: finished, interrupted, failed, ..."""
        return [str(run.status.get("status", "unknown")) for run in self.runs]

    @property
    def state(self) -> str:
        """The status that all runs share, or how many runs have each status."""
        kinds = {state: self.states.count(state) for state in self.states}
        return next(iter(kinds)) if len(kinds) == 1 else ", ".join(f"{n} {state}" for state, n in kinds.items())

    def figure(self, name: str) -> Figure | None:
        """Returns the measure over the runs that have it and did not fail; None if there are none."""
        found = [
            values[name]
            for run in self.runs
            if run.status.get("status") != "failed" and name in (values := measured(run))
        ]
        if not found:
            return None
        return Figure(statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None, len(found))


def measured(run: History) -> dict[str, float]:
    """Returns the measures of a run by name: those of `genlab evaluate`, and the last eval/... of the training loop."""
    during = run.result.get("measures") or {
        tag: curve[-1][1] for tag, curve in run.metrics.items() if tag.startswith("eval/") and curve
    }
    evaluated = {name: row["value"] for name, row in run.evaluation.get("measures", {}).items()}
    speed = run.result.get("samples_per_s")
    values = {**evaluated, **during, **({"samples_per_s": speed} if speed else {})}
    return {name: float(v) for name, v in values.items() if isinstance(v, (int, float)) and math.isfinite(v)}


def find_runs(folders: Iterable[str | Path]) -> list[History]:
    """Returns the runs in these folders at any depth, each once, in their order. A folder may itself be a run.

    Skips files, and jobs of a sweep that never began: `SWEEP/*` in a shell expands to both.

    Raises:
        UserError: a folder does not exist or contains no run, or no run is left.
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
            raise UserError(f"{folder} is not a run folder and contains none: it has no config.yaml")
        for path in inside:
            found.setdefault(path.resolve(), History(path))
    if not found:
        raise UserError(f"there is no run in {', '.join(map(str, named))}")
    return list(found.values())


def run_folders(folder: Path) -> list[Path]:
    """Returns the folder itself if it has a config.yaml, else the folders below it that have one."""
    if (folder / "config.yaml").is_file():
        return [folder]
    return sorted(path.parent for path in folder.rglob("config.yaml"))


def group(runs: Iterable[History]) -> list[Configuration]:
    """Groups the runs into configurations, in the order of their first runs."""
    groups: dict[tuple, list[History]] = {}
    for run in runs:
        key = tuple(sorted((k, repr(v)) for k, v in run.settings.items() if k not in ASIDE))
        key += (("fingerprint of the data", str(run.environment.get("data"))),)  # a data file may have changed
        groups.setdefault(key, []).append(run)
    return [Configuration(members) for members in groups.values()]


def differing(configurations: Sequence[Configuration]) -> list[str]:
    """Returns the keys that all configurations have and whose values differ.

    A key that only some models have says no more than the model's name.
    """
    shared = set.intersection(*(set(c.settings) for c in configurations))
    return [
        key
        for key in configurations[0].settings
        if key in shared and key not in (*ASIDE, *NAMED) and len({repr(c.settings[key]) for c in configurations}) > 1
    ]


def choose_measure(configurations: Sequence[Configuration], word: str | None) -> str:
    """Returns the measure to rank by: `word`, or the preferred one that most configurations have.

    Raises:
        UserError: no run has that measure, or no run has any.
    """
    names = {name: None for c in configurations for run in c.runs for name in measured(run)}
    if word is not None:
        from genlab.metrics.catalogue import MEASURES  # imports torch

        if word in MEASURES and word not in names:
            raise UserError(f"sort: none of these runs has been evaluated for '{word}': genlab evaluate run=RUN")
        choose("sort", word, names)
        return word
    counts = {name: sum(c.figure(name) is not None for c in configurations) for name in PREFERRED if name in names}
    if not counts:
        raise UserError("none of these runs has a measure to rank by; measure them with genlab evaluate run=RUN")
    return max(counts, key=lambda name: counts[name])


def rank(configurations: Sequence[Configuration], measure: str, better: str) -> list[Configuration]:
    """Sorts by the mean of a measure, the best first; configurations without it come last."""

    def place(c: Configuration) -> tuple[bool, float]:
        figure = c.figure(measure)
        return (figure is None, cost(figure.mean, better) if figure else 0.0)

    return sorted(configurations, key=place)


def direction(runs: Iterable[History], measure: str) -> str:
    """Returns which values of a measure are better, as in Measure.better: by the catalogue, else by the evaluations."""
    from genlab.metrics.catalogue import MEASURES  # imports torch

    known = MEASURES.get(measure.removeprefix("eval/"))
    if known and known.better:
        return known.better
    words = (known_word(run.evaluation.get("measures", {}).get(measure, {}).get("better")) for run in runs)
    return next(filter(None, words), "min")


def calibration(runs: Iterable[History], column: str) -> dict[str, float]:
    """Returns the `floor` or `noise` of each measure, from the first evaluation that has it."""
    found: dict[str, float] = {}
    for run in runs:
        for name, row in run.evaluation.get("measures", {}).items():
            if row.get(column) is not None:
                found.setdefault(name, row[column])
    return found


def trained_on(run: History) -> bool:
    """Whether a run was trained further after its last checkpoint was evaluated."""
    step, now = run.evaluation.get("step"), run.status.get("step")
    return run.evaluation.get("checkpoint") == "last" and None not in (step, now) and step != now


def unlike(runs: Sequence[History]) -> list[str]:
    """Returns how the evaluations of these runs differ, a sentence each; nothing if all figures compare."""

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
        found.append(f"{len(older)} of {len(runs)} runs were trained further after they were evaluated")
    for name, text in (
        ("data", "data"),
        ("split", "splits"),
        ("samples", "numbers of samples"),
        ("reference", "numbers of real samples"),
        ("net", "feature nets"),
        ("checkpoint", "checkpoints"),
    ):
        values = sorted({kinds(name, each) for each in evaluations})
        if len(values) > 1:
            found.append(f"evaluated with different {text}: {', '.join(values)}")
    return found
