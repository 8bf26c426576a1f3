"""`genlab compare RUN... [sort=fid] [out=FOLDER]`: ranks runs in one table, averaging the seeds of a configuration.

Prints the table and writes `compare.csv` (every measure), `compare.md` and `compare.png` (samples and curves).
"""

from pathlib import Path
from typing import Any

from genlab.config.arguments import folders_and_options
from genlab.errors import UserError, choose
from genlab.report import comparison
from genlab.report.comparison import Configuration
from genlab.report.tables import columns, comma_separated, markdown, spread
from genlab.runs.history import STOPPED, History

KEYS = 6  # settings shown in the narrow table; compare.csv has all
OPTIONS: dict[str, str | None] = {"sort": None, "out": "outputs/compare", "better": None}


def compare(arguments: list[str]) -> None:
    """Print the table and write the files.

    Raises:
        UserError: no runs, a wrong option, or a folder that cannot be written.
    """
    folders, options = folders_and_options("genlab compare", arguments, OPTIONS)
    if not folders:
        raise UserError("genlab compare needs run folders, or a folder that contains some: genlab compare outputs/")
    runs = comparison.find_runs(folders)
    configurations = comparison.group(runs)
    measure = comparison.choose_measure(configurations, options["sort"])
    better = options["better"] or comparison.direction(runs, measure)
    if options["better"]:
        choose("better", better, ("min", "max"))
    configurations = comparison.rank(configurations, measure, better)

    rows = table(configurations, measure)
    more = comparison.differing(configurations)[KEYS:]
    notes = [f"the runs also differ in these settings: {', '.join(more)}"] if more else []
    notes += comparison.unlike([run for run in runs if run.status.get("status") != "failed"])
    print(f"{len(runs)} runs, {len(configurations)} configurations, best first by {measure} ({better})\n")
    print("\n".join([*columns(rows, left=(1,)), "", *failures(runs), *(f"note: {note}" for note in notes)]))
    _write(Path(str(options["out"])), configurations, rows, notes, measure, better)


def table(configurations: list[Configuration], measure: str) -> list[tuple[str, ...]]:
    """Returns rank, model on data, differing settings, seeds, measures and state; at the end, real data and noise."""
    names = _names(configurations, measure)
    keys = comparison.differing(configurations)[:KEYS]
    head = ("rank", "run", *keys, "seeds", *names, "samples/s", "status")
    rows: list[tuple[str, ...]] = [head]
    for place, configuration in enumerate(configurations, start=1):
        figures = [configuration.figure(name) for name in (*names, "samples_per_s")]
        rank = str(place) if configuration.figure(measure) else "-"
        label = f"{_choice(configuration, 'model')} on {_choice(configuration, 'data')}"
        settings = [str(configuration.settings[key]) for key in keys]
        cells = [spread(f.mean, f.deviation) if f else "" for f in figures]
        rows.append((rank, label, *settings, str(len(configuration.runs)), *cells, configuration.state))
    runs = [run for configuration in configurations for run in configuration.runs]
    for column, label in (("floor", "real training data"), ("noise", "noise")):
        values = comparison.calibration(runs, column)
        if any(name in values for name in names):
            cells = [spread(values[name], None) if name in values else "" for name in names]
            rows.append(("", label, *[""] * len(keys), "", *cells, "", ""))
    return rows


def failures(runs: list[History]) -> list[str]:
    """Returns a line for each run that failed or was stopped."""
    return [
        f"{run.status['status']}: {run.run.folder}: {run.status.get('reason', '')}"
        for run in runs
        if run.status.get("status") in STOPPED
    ]


def everything(configurations: list[Configuration]) -> list[list[Any]]:
    """Returns all measures of all configurations, for CSV: mean, std and number of seeds of each."""
    names = list({name: None for c in configurations for run in c.runs for name in comparison.measured(run)})
    keys = comparison.differing(configurations)
    head = ["rank", "model", "data", *keys, "seeds", "status", "folders"]
    rows: list[list[Any]] = [head + [f"{name}{part}" for name in names for part in ("", " std", " n")]]
    for place, each in enumerate(configurations, start=1):
        figures = [each.figure(name) or (None, None, 0) for name in names]
        folders = " ".join(str(run.run.folder) for run in each.runs)
        settings = [str(each.settings[key]) for key in keys]
        start = [place, _choice(each, "model"), _choice(each, "data"), *settings, len(each.runs), each.state, folders]
        rows.append(start + [value for figure in figures for value in figure])
    return rows


def _names(configurations: list[Configuration], measure: str) -> list[str]:
    """Returns the measures of the narrow table, the ranking one first."""
    have = {name for c in configurations for run in c.runs for name in comparison.measured(run)}
    names = [name for name in comparison.SHOWN if name in have]
    if not names:
        names = [name for name in comparison.PREFERRED if name in have]
    return [measure, *(name for name in names if name != measure)]


def _choice(configuration: Configuration, group: str) -> str:
    """Returns the class name of the model or data set: VAE for genlab.models.vae.VAE."""
    target = str(configuration.settings.get(f"{group}._target_", "?"))
    return target.rpartition(".")[2]


def _write(
    out: Path,
    configurations: list[Configuration],
    rows: list[tuple[str, ...]],
    notes: list[str],
    measure: str,
    better: str,
) -> None:
    from genlab.report.sheet import sheet

    text = markdown(rows, left=(1,)) + "".join(f"\n{note}\n" for note in notes)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "compare.csv").write_text(
            comma_separated(everything(configurations)), encoding="utf-8", errors="backslashreplace"
        )
        text = f"Best first by {measure} ({better}).\n\n{text}"
        (out / "compare.md").write_text(text, encoding="utf-8", errors="backslashreplace")
        sheet(configurations, measure).save(out / "compare.png")
    except OSError as error:
        raise UserError(f"cannot write {error.filename or out}: {error.strerror}") from error
    print(f"{out}/compare.csv, compare.md, compare.png")
