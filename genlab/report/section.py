"""Builds a page's section about one run: measures, samples over training, curves, settings. Imports no torch."""

from typing import Any, NamedTuple

from genlab.report.chart import chart
from genlab.report.comparison import measured
from genlab.report.html import Markup, join, one_line, swatch, table, tag
from genlab.report.pictures import LARGE, MEDIUM, SMALL, picture, strip
from genlab.report.styles import of_run
from genlab.report.tables import number, spread
from genlab.report.titles import built
from genlab.runs.charts import arrange
from genlab.runs.history import STOPPED, Curve, History, Picture

FEW, SEVERAL = 3, 12  # runs on a page, up to which each is shown with all or with most detail
MAIN = ("samples", "translations", "reconstructions")  # the picture that stands for a run: the first of these it has
BOTH = ": training and validation"  # what a chart of these two curves has at the end of its title


class Detail(NamedTuple):
    """How much a page shows of each run; less where there are many, so that it stays small enough to open and send."""

    hero: int  # pixels of the main picture
    others: int  # pixels of pictures side by side
    frames: int  # of the film strip; 0 leaves out this strip and all pictures but the main one
    folded: bool  # whether the section opens only on a click
    printed: bool  # whether it is printed even if it is not open


def detail(count: int) -> Detail:
    """Returns the detail of each run on a page of `count` runs."""
    if count <= FEW:
        return Detail(LARGE, MEDIUM, 12, folded=False, printed=True)
    if count <= SEVERAL:
        return Detail(MEDIUM, MEDIUM, 6, folded=True, printed=True)
    return Detail(MEDIUM, SMALL, 0, folded=True, printed=False)


def section(run: History, name: str, index: int, style: str | None, shown: Detail) -> Markup:
    """Returns the section about one run.

    Args:
        name: its heading.
        index: its place on the page, which links to it name.
        style: of its curves; None where it is the only run of the page.
    """
    key = None if style is None else swatch(style)
    heading = tag("h2", key, one_line(name), " ", pill(run))
    if not shown.folded:
        return tag("article", heading, body(run, name, style, shown), id=f"run{index}")
    # The id lies inside, so that a link to it opens the section.
    inner = tag("div", body(run, name, style, shown), id=f"run{index}", class_="inner")
    kind = "run printed" if shown.printed else "run"
    return tag("article", tag("details", tag("summary", heading), inner, class_=kind))


def body(run: History, name: str, style: str | None, shown: Detail) -> Markup:
    """Returns all that follows the heading of a run."""
    main = main_picture(run)
    hero = film = None
    if main:
        alt = f"{main.name} of {name} at step {main.step:,}"
        hero = tag("figure", picture(main, alt, shown.hero), class_="hero")
        frames = run.pictures[main.name]
        if shown.frames and len(frames) > 1:
            heading = tag("h3", f"{main.name.capitalize()} over training")
            film = tag("div", heading, strip(main.name, frames, shown.frames), class_="film")
    others = [found[-1] for kind, found in run.pictures.items() if shown.frames and not (main and kind == main.name)]
    gallery = [
        tag(
            "figure",
            picture(other, f"{other.name} of {name}", shown.others),
            tag("figcaption", one_line(other.name.replace("_", " "))),
        )
        for other in others
    ]
    charts = [
        curves(run, title, tags, style) for group in arrange(run.metrics).values() for title, tags in group.items()
    ]
    return join(
        tag("p", str(run.run.folder), class_="path"),
        tiles(run),
        tag("div", hero, measures(run), class_="top"),
        film,
        [tag("h3", "Other pictures"), tag("div", gallery, class_="gallery")] if gallery else None,
        [tag("h3", "Curves"), tag("div", charts, class_="charts")] if charts else None,
        settings(run),
    )


def main_picture(run: History) -> Picture | None:
    """Returns the newest picture of the kind that stands for a run; None where it has drawn none."""
    return next((run.pictures[kind][-1] for kind in MAIN if kind in run.pictures), None)


def curves(run: History, title: str, tags: list[str], style: str | None) -> Markup:
    """Returns a chart of these tags, named by their last parts, or in full where last parts are the same."""
    ends = [tag_.split("/")[-1] for tag_ in tags]
    names = ends if len(set(ends)) == len(ends) else tags
    if title.endswith(BOTH) and len(tags) == 2:
        title, names = title.removesuffix(BOTH), ["training", "validation"]
    found: dict[str, Curve] = {name: run.metrics[tag_] for name, tag_ in zip(names, tags, strict=True)}
    styles = None if style is None else {name: of_run(style, i) for i, name in enumerate(found)}
    return chart(title, found, styles)


def pill(run: History) -> Markup:
    """Returns how the run ended, in a word; its title has the reason."""
    state = str(run.status.get("status", "not begun"))
    kind = state if state in (*STOPPED, "finished", "running") else "other"
    return tag("span", state, class_=f"pill {kind}", title=run.status.get("reason") or None)


def tiles(run: History) -> Markup:
    """Returns the most important facts about a run."""
    result = run.result
    best = result.get("best") or {}
    step, spent = result.get("step", run.status.get("step")), duration(result.get("seconds"))
    pairs = [
        ("model", built(run, "model")),
        ("data", built(run, "data")),
        ("steps", None if step is None else f"{step:,}"),
        ("training time" + " since it was resumed" * bool(run.environment.get("earlier")), spent or None),
        ("samples per second", number(result.get("samples_per_s")) or None),
        ("best value, at step", f"{number(best['value'])}, {best['step']:,}" if best else None),
        ("why it stopped", run.status.get("reason") if run.status.get("status") in STOPPED else None),
    ]
    return tag("dl", [tag("div", tag("dt", k), tag("dd", v)) for k, v in pairs if v is not None], class_="tiles")


def measures(run: History) -> Markup | None:
    """Returns what `genlab evaluate` measured, with floor and noise; else the last measures of the training loop."""
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
    """Returns the whole config, by group."""
    groups: dict[str, list[tuple[str, Any]]] = {}
    for key, value in run.settings.items():
        group, _, rest = key.partition(".")
        groups.setdefault(group if rest else "run", []).append((rest or group, value))
    parts = [
        tag("div", tag("h4", group), tag("dl", [join(tag("dt", k), tag("dd", as_text(v))) for k, v in pairs]))
        for group, pairs in groups.items()
    ]
    return tag("details", tag("summary", "Settings"), tag("div", parts, class_="settings"))


def as_text(value: Any) -> str:
    """Returns a value as the config writes it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def duration(seconds: float | None) -> str:
    """Formats a duration: 1 h 02 min, 3 min 20 s, 12 s."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
