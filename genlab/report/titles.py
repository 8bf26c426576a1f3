"""What the runs on a page are called: a short name for each, a title for all. Imports no torch."""

from collections.abc import Sequence

from genlab.report import comparison
from genlab.report.comparison import Configuration
from genlab.runs.history import History

LINE, LISTED = 80, 5  # characters of a title; models or data sets that it names


def headline(runs: Sequence[History], names: Sequence[str]) -> str:
    """The title of several runs: their names, or what was trained on what where these would take more than a line."""
    title = f"{len(runs)} runs: {', '.join(names)}"
    if len(title) <= LINE:
        return title
    models, data = (
        ", ".join(found) if len(found) <= LISTED else f"{len(found)} {kinds}"
        for found, kinds in (
            (list(dict.fromkeys(built(run, group) for run in runs)), kinds)
            for group, kinds in (("model", "models"), ("data", "data sets"))
        )
    )
    return f"{len(runs)} runs of {models} on {data}"


def labels(runs: Sequence[History]) -> list[str]:
    """A short name for each run: its `name`, with the settings in which runs of that name differ, else its folder's."""
    names = [str(run.settings.get("name") or run.name) for run in runs]
    twins = [i for i, name in enumerate(names) if names.count(name) > 1]
    keys = differing_settings([runs[i] for i in twins]) if twins else []
    for i in twins:
        names[i] += "".join(f" {key.split('.')[-1]}={runs[i].settings[key]}" for key in keys[:3])
    return [f"{name} ({runs[i].name})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def differing_settings(runs: Sequence[History]) -> list[str]:
    """The settings in which runs differ, the seed last."""
    keys = comparison.differing([Configuration([run]) for run in runs])
    seeds = {repr(run.settings.get("seed")) for run in runs}
    return [key for key in keys if not key.endswith("_target_")] + (["seed"] if len(seeds) > 1 else [])


def built(run: History, group: str) -> str:
    """The name of the class that a group of the config builds."""
    return str(run.settings.get(f"{group}._target_", "?")).rpartition(".")[2]
