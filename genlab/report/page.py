"""Builds an HTML page of one or several runs: a comparison, then a section for each. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path

from genlab import __version__
from genlab.plots.shorten import shorten
from genlab.report import comparison
from genlab.report.chart import chart
from genlab.report.comparison import measured
from genlab.report.html import Markup, one_line, swatch, table, tag
from genlab.report.pictures import picture
from genlab.report.section import Detail, as_text, detail, duration, main_picture, pill, section
from genlab.report.styles import REST, run_styles
from genlab.report.tables import number
from genlab.report.titles import LINE, built, differing_settings, headline, labels
from genlab.runs.history import History

COLUMNS, SETTINGS = 6, 4  # measures and settings in the table that compares runs, at most
QUIET = ("lr/", "gradient_norm/", "time/s_per_step", "time/peak_memory")  # curves that say little side by side
# Forbids loading anything from outside, even if a picture's or a run's name tried to.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(runs: Sequence[History]) -> str:
    """Returns the whole page as one HTML file that needs no other.

    Raises:
        UserError: a file of a run is damaged.
    """
    names, styles, shown = labels(runs), run_styles(runs), detail(len(runs))
    if len(runs) == 1:
        title, compared = names[0], None
        sections = [section(runs[0], f"{built(runs[0], 'model')} on {built(runs[0], 'data')}", 0, None, shown)]
    else:
        title, compared = headline(runs, names), side_by_side(runs, names, styles, shown)
        sections = [
            section(run, name, i, style, shown)
            for i, (run, name, style) in enumerate(zip(runs, names, styles, strict=True))
        ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", shorten(title, LINE)),
        tag("style", Markup(Path(__file__).with_name("style.css").read_text(encoding="utf-8"))),
    )
    heading = tag("header", tag("p", "genlab report", class_="kicker"), tag("h1", one_line(title)))
    footer = tag("footer", f"Written by genlab {__version__} from the files of the runs.")
    body = tag("body", heading, tag("main", compared, sections), footer)
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def side_by_side(runs: Sequence[History], names: list[str], styles: list[str], shown: Detail) -> Markup:
    """Returns the comparison: a table, the newest pictures, and the curves that mean the same in two runs or more."""
    return tag(
        "section",
        tag("h2", "Comparison"),
        overview(runs, names, styles),
        [tag("p", note, class_="note") for note in notes(runs, styles)],
        folding(shown),
        gallery(runs, names, styles, shown),
        common_curves(runs, names, styles),
    )


def overview(runs: Sequence[History], names: list[str], styles: list[str]) -> Markup:
    """Returns a table with a row for each run: its measures, how it ended, and what runs differ in."""
    values = [measured(run) for run in runs]
    common = {name for found in values for name in found if sum(name in other for other in values) > 1}
    measures = [name for name in (*comparison.SHOWN, *comparison.PREFERRED) if name in common]
    measures = [name for name in measures if comparable(name, runs)][:COLUMNS]
    keys = differing_settings(runs)[:SETTINGS]
    rows = [
        [
            tag("a", swatch(styles[i]), one_line(names[i]), href=f"#run{i}"),
            *(number(found.get(name)) for name in (*measures, "samples_per_s")),
            duration(run.result.get("seconds")),
            pill(run),
            *(as_text(run.settings[key]) for key in keys),
        ]
        for i, (run, found) in enumerate(zip(runs, values, strict=True))
    ]
    head = ["run", *measures, "samples/s", "training time", "status", *keys]
    return table(head, rows, "Measures and status of each run", words=1 + len(keys))


def notes(runs: Sequence[History], styles: list[str]) -> list[str]:
    """Returns what a reader of the comparison must know, a sentence each."""
    found = comparison.unlike(runs)
    if len({built(run, "data") for run in runs}) > 1:
        found.append("the runs are on different data sets: values compare only within one")
    if REST in styles:
        coloured = len(styles) - styles.count(REST)
        found.append(f"{coloured} of {len(runs)} runs have a colour, the best of each model; the others are grey")
    return found


def folding(shown: Detail) -> Markup | None:
    """Returns a note that the runs' sections have to be opened, on paper only if they are missing there."""
    if not shown.folded:
        return None
    text = "the sections of the runs below are folded: click one to open it"
    if shown.printed:
        return tag("p", text, class_="note screen")
    return tag("p", f"{text}; only open ones are printed", class_="note")


def gallery(runs: Sequence[History], names: list[str], styles: list[str], shown: Detail) -> Markup | None:
    """Returns the newest picture of each run that has one."""
    figures = [
        tag(
            "figure",
            picture(newest, f"{newest.name} of {name}", shown.others),
            tag("figcaption", swatch(style), one_line(name)),
        )
        for name, style, run in zip(names, styles, runs, strict=True)
        if (newest := main_picture(run))
    ]
    size = "few" if not shown.folded else "many" if shown.printed else "crowd"
    return tag("div", figures, class_=f"gallery {size}") if figures else None


def common_curves(runs: Sequence[History], names: list[str], styles: list[str]) -> Markup | None:
    """Returns a chart for each tag that means the same in two runs or more."""
    tags = sorted({name for run in runs for name in run.metrics if not name.startswith(QUIET)})
    by_name = dict(zip(names, styles, strict=True))
    charts = [
        chart(name, {label: run.metrics.get(name, []) for label, run in zip(names, runs, strict=True)}, by_name)
        for name in tags
        if comparable(name, runs) and sum(name in run.metrics for run in runs) > 1
    ]
    return tag("div", charts, class_="charts") if charts else None


def comparable(name: str, runs: Sequence[History]) -> bool:
    """Whether a curve or measure means the same in all runs that have it. Losses do so only for runs of one model."""
    models = {run.settings.get("model._target_") for run in runs if name in run.metrics}
    return len(models) < 2 or not (name.startswith("train/") or name.endswith("/loss"))
