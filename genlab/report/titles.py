"""Names for what is on a page: a short label for each run, a title for all of them. Imports no torch."""

from collections.abc import Sequence

from genlab.report import comparison
from genlab.report.comparison import Configuration
from genlab.runs.history import History

LINE = 60  # characters of a page's title
LISTED = 5  # models or data sets that a title names; more are counted
TOLD = 3  # settings in the label of a run


def headline(runs: Sequence[History], names: Sequence[str]) -> str:
    """Returns the title of several runs: their names; if those are too long, the models and data sets, or how many."""
    groups = [
        (list(dict.fromkeys(built(run, group) for run in runs)), kinds)
        for group, kinds in (("model", "models"), ("data", "data sets"))
    ]
    listed = [", ".join(classes) if len(classes) <= LISTED else f"{len(classes)} {kinds}" for classes, kinds in groups]
    counted = [classes[0] if len(classes) == 1 else f"{len(classes)} {kinds}" for classes, kinds in groups]
    titles = [f"{len(runs)} runs: {', '.join(names)}"]
    titles += [f"{len(runs)} runs of {models} on {data}" for models, data in (listed, counted)]
    return next((title for title in titles if len(title) <= LINE), titles[-1])


def labels(runs: Sequence[History]) -> list[str]:
    """Returns a label for each run: its `name` or folder, and what tells apart runs of the same name.

    That is the settings in which they differ, and their folders where settings do not suffice.
    """
    names = [str(run.settings.get("name") or run.name) for run in runs]
    members: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        members.setdefault(name, []).append(i)
    for indices in members.values():
        keys = telling([runs[i] for i in indices]) if len(indices) > 1 else []
        for i in indices:
            names[i] += "".join(f" {key.split('.')[-1]}={runs[i].settings.get(key)}" for key in keys)
    for folders in ([run.name for run in runs], [str(run.run.folder) for run in runs]):
        names = [
            f"{name} ({folder})" if names.count(name) > 1 else name for name, folder in zip(names, folders, strict=True)
        ]
    return names


def telling(runs: Sequence[History]) -> list[str]:
    """Returns up to `TOLD` settings that tell runs apart, leaving out those that only repeat an earlier one."""
    keys: list[str] = []
    kinds = 1
    for key in differing_settings(runs):
        values = {tuple(repr(run.settings.get(k)) for k in (*keys, key)) for run in runs}
        if len(values) > kinds:
            keys.append(key)
            kinds = len(values)
    return keys[:TOLD]


def differing_settings(runs: Sequence[History]) -> list[str]:
    """Returns the settings in which runs differ, the seed last."""
    keys = comparison.differing([Configuration([run]) for run in runs])
    seeds = {repr(run.settings.get("seed")) for run in runs}
    return [key for key in keys if not key.endswith("_target_")] + (["seed"] if len(seeds) > 1 else [])


def built(run: History, group: str) -> str:
    """Returns the name of the class that a group of the config builds."""
    return str(run.settings.get(f"{group}._target_", "?")).rpartition(".")[2]
