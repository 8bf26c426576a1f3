"""A page of one or several runs: comparison, measures, samples over training, curves, settings. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genlab import __version__
from genlab.report import comparison
from genlab.report.chart import chart
from genlab.report.comparison import measured
from genlab.report.html import Markup, breakable, join, table, tag
from genlab.report.pictures import SMALL, picture, strip
from genlab.report.tables import number, spread
from genlab.report.titles import built, differing_settings, headline, labels
from genlab.runs.charts import arrange
from genlab.runs.history import STOPPED, Curve, History

FRAMES = 12  # of a film strip; half as many where there are more than three runs
MAIN = ("samples", "translations", "reconstructions")  # the picture that stands for a run: the first of these it has
COLUMNS, SETTINGS = 6, 4  # measures and settings in the table that compares runs, at most
QUIET = ("lr/", "gradient_norm/", "time/s_per_step", "time/peak_memory")  # curves that say little side by side
# Nothing from outside may load, even if a picture's or a run's name tried to.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(runs: Sequence[History]) -> str:
    """The whole page as one file of HTML that needs nothing else.

    Raises:
        UserError: a file of a run is damaged.
    """
    names = labels(runs)
    title = names[0] if len(runs) == 1 else headline(runs, names)
    colours = {name: i for i, name in enumerate(names)}
    several = side_by_side(runs, names, colours) if len(runs) > 1 else None
    frames = FRAMES if len(runs) <= 3 else FRAMES // 2
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(Path(__file__).with_name("style.css").read_text(encoding="utf-8"))),
    )
    headings = names if len(runs) > 1 else [f"{built(runs[0], 'model')} on {built(runs[0], 'data')}"]
    articles = [article(run, name, i, frames) for i, (run, name) in enumerate(zip(runs, headings, strict=True))]
    heading = tag("header", tag("p", "genlab report", class_="kicker"), tag("h1", title))
    footer = tag("footer", f"Written by genlab {__version__} from the files of the runs.")
    body = tag("body", heading, tag("main", several, articles), footer)
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def side_by_side(runs: Sequence[History], names: list[str], colours: dict[str, int]) -> Markup:
    """The runs side by side: a table, their last pictures, and the curves that mean the same in two or more."""
    values = [measured(run) for run in runs]
    common = {name for each in values for name in each if sum(name in other for other in values) > 1}
    shown = [name for name in (*comparison.SHOWN, *comparison.PREFERRED) if name in common and comparable(name, runs)]
    shown, keys = shown[:COLUMNS], differing_settings(runs)[:SETTINGS]
    rows = []
    for i, (run, found) in enumerate(zip(runs, values, strict=True)):
        figures = [number(found.get(name)) for name in (*shown, "samples_per_s")]
        time = duration(run.result.get("seconds"))
        row = [
            tag("a", breakable(names[i]), href=f"#run{i}"),
            *figures,
            time,
            pill(run),
            *(as_text(run.settings[key]) for key in keys),
        ]
        rows.append(row)
    head = ["run", *shown, "samples/s", "training time", "status", *keys]
    tags = sorted(
        {tag_ for run in runs for tag_ in run.metrics if not tag_.startswith(QUIET) and comparable(tag_, runs)}
    )
    charts = [
        chart(each, {name: run.metrics.get(each, []) for name, run in zip(names, runs, strict=True)}, colours)
        for each in tags
        if sum(each in run.metrics for run in runs) > 1
    ]
    last = [
        tag("figure", picture(found, f"{found.name} of {name}", 2 * SMALL), tag("figcaption", name))
        for name, run in zip(names, runs, strict=True)
        if (found := main_picture(run))
    ]
    return tag(
        "section",
        tag("h2", "Comparison"),
        table(head, rows, "The runs, their measures and how they ended", words=1 + len(keys)),
        [tag("p", note, class_="note") for note in comparison.unlike(runs)],
        tag("div", last, class_="gallery") if last else None,
        tag("div", charts, class_="charts") if charts else None,
    )


def comparable(name: str, runs: Sequence[History]) -> bool:
    """Whether a curve or measure means the same in all runs that have it: losses do so for runs of one model alone."""
    models = {run.settings.get("model._target_") for run in runs if name in run.metrics}
    return len(models) < 2 or not (name.startswith("train/") or name.endswith("/loss"))


def article(run: History, name: str, index: int, frames: int) -> Markup:
    """All of one run."""
    pictures = run.pictures
    main = main_picture(run)
    others = [found[-1] for kind, found in pictures.items() if not (main and kind == main.name)]
    film = pictures.get(main.name, []) if main else []
    figures = [
        chart(title, drawn(run, tags)) for group in arrange(run.metrics).values() for title, tags in group.items()
    ]
    hero = tag("figure", picture(main, f"{main.name} of {name} at step {main.step:,}"), class_="hero") if main else None
    strips = (
        [tag("h3", f"{main.name.capitalize()} over training"), strip(main.name, film, frames)]
        if len(film) > 1 and main
        else []
    )
    gallery = [
        tag(
            "figure", picture(each, f"{each.name} of {name}", 2 * SMALL), tag("figcaption", each.name.replace("_", " "))
        )
        for each in others
    ]
    return tag(
        "article",
        tag("h2", name, " ", pill(run)),
        tag("p", str(run.run.folder), class_="path"),
        tiles(run),
        tag("div", hero, measures(run), class_="top"),
        strips,
        [tag("h3", "What else it draws"), tag("div", gallery, class_="gallery")] if gallery else None,
        [tag("h3", "Curves"), tag("div", figures, class_="charts")] if figures else None,
        settings(run),
        id=f"run{index}",
    )


def main_picture(run: History):
    """The newest picture of the kind that stands for a run; None where it has drawn nothing."""
    return next((run.pictures[kind][-1] for kind in MAIN if kind in run.pictures), None)


def drawn(run: History, tags: list[str]) -> dict[str, Curve]:
    """The curves of a chart by the end of their tags, or by the whole tag where ends are the same."""
    ends = [tag_.split("/")[-1] for tag_ in tags]
    short = ends if len(set(ends)) == len(ends) else tags
    return {name: run.metrics[tag_] for name, tag_ in zip(short, tags, strict=True)}


def pill(run: History) -> Markup:
    """How the run ended, in a word; the reason when pointed at."""
    state = str(run.status.get("status", "not begun"))
    kind = state if state in (*STOPPED, "finished", "running") else "other"
    return tag("span", state, class_=f"pill {kind}", title=run.status.get("reason") or None)


def tiles(run: History) -> Markup:
    """The figures that one asks for first."""
    result = run.result
    best = result.get("best") or {}
    step, spent = result.get("step", run.status.get("step")), duration(result.get("seconds"))
    pairs = [
        ("model", built(run, "model")),
        ("data", built(run, "data")),
        ("steps", None if step is None else f"{step:,}"),
        ("training time" + " since it was resumed" * bool(run.environment.get("earlier")), spent or None),
        ("samples a second", number(result.get("samples_per_s")) or None),
        ("best value, at step", f"{number(best['value'])}, {best['step']:,}" if best else None),
        ("why it stopped", run.status.get("reason") if run.status.get("status") in STOPPED else None),
    ]
    return tag("dl", [tag("div", tag("dt", k), tag("dd", v)) for k, v in pairs if v is not None], class_="tiles")


def measures(run: History) -> Markup | None:
    """What `genlab evaluate` found, between its floor and noise; else the last measures of the training loop."""
    report = run.evaluation
    if report.get("measures"):
        rows = [
            [
                tag("span", name, title=row.get("text") or None),
                f"{spread(row['value'], row.get('error'))} {row.get('unit') or ''}".strip(),
                number(row.get("floor")),
                number(row.get("noise")),
            ]
            for name, row in report["measures"].items()
        ]
        samples, reference, split = (report.get(key, "?") for key in ("samples", "reference", "split"))
        left_out = [tag("li", f"{name}: {reason}") for name, reason in (report.get("left_out") or {}).items()]
        return tag(
            "div",
            table(["measure", "value", "real data", "noise"], rows, f"Measures at step {report.get('step', '?')}"),
            tag("p", f"{samples} samples against {reference} of the {split} split", class_="note"),
            tag("details", tag("summary", "Not measured, and why"), tag("ul", left_out)) if left_out else None,
        )
    found = {name: value for name, value in measured(run).items() if name.startswith("eval/")}
    if not found:
        return None
    rows = [[name.removeprefix("eval/"), number(value)] for name, value in found.items()]
    return tag("div", table(["measure", "value"], rows, "Measures at the end of training"))


def settings(run: History) -> Markup:
    """The whole config, by group."""
    groups: dict[str, list[tuple[str, Any]]] = {}
    for key, value in run.settings.items():
        group, _, rest = key.partition(".")
        groups.setdefault(group if rest else "run", []).append((rest or group, value))
    parts = [
        tag(
            "div",
            tag("h4", group),
            tag("dl", [join(tag("dt", k), tag("dd", as_text(v))) for k, v in pairs]),
        )
        for group, pairs in groups.items()
    ]
    return tag("details", tag("summary", "Settings"), tag("div", parts, class_="settings"))


def as_text(value: Any) -> str:
    """A value as the config writes it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def duration(seconds: float | None) -> str:
    """1 h 02 min, 3 min 20 s, 12 s."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
