"""Rows of a typed table as a picture: each column's distribution, and how the columns depend on one another."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from genlab.data.columns.base import Column
from genlab.data.columns.moment import DateTime
from genlab.data.columns.ordered import Ordered
from genlab.data.columns.schema import Schema
from genlab.metrics.tables.rows import Rows
from genlab.metrics.tables.trends import associations
from genlab.plots.canvas import new_figure, pixels
from genlab.plots.pairplot import GENERATED, REAL
from genlab.plots.shorten import shorten

COLUMNS = 20  # shown at most
WORDS = 8  # bars of a category; the rest share one
ACROSS = 5  # panels in a row
TITLE, LONG = 24, 14  # most characters of a panel's title, and of another name or word


def table(schema: Schema, real: Tensor | None, fake: Tensor) -> np.ndarray:
    """Draws rows in units, fake (M, width) beside real (N, width), as an (H, W, 3) uint8 picture.

    The first columns are drawn as histograms or bars. Below them, where real rows are given, the associations of all
    pairs of columns: real, generated, and their difference.
    """
    learnt = [column for column in schema.columns if column.width]
    shown = learnt[:COLUMNS]
    clouds = {"generated": _values(schema, fake)} | ({} if real is None else {"real": _values(schema, real)})
    rows = -(-len(shown) // ACROSS)
    maps = real is not None and len(learnt) > 1
    figure, canvas = new_figure(2.1 * ACROSS, 1.7 * rows + 3.4 * maps)
    upper, lower = figure, None
    if maps:
        upper, lower = figure.subfigures(2, 1, height_ratios=(1.7 * rows, 3.4)).tolist()  # type: ignore[union-attr]
    panels = upper.subplots(rows, ACROSS, squeeze=False).flatten()
    for axes in panels[len(shown) :]:
        axes.axis("off")
    for i, (axes, column) in enumerate(zip(panels, shown, strict=False)):
        axes.set_title(plain(shorten(column.name, TITLE)), fontsize=8)
        axes.tick_params(labelsize=6)
        axes.set_yticks([])
        _marginal(axes, column, {label: values[:, i] for label, values in clouds.items()})
    handles, labels = panels[0].get_legend_handles_labels()
    upper.legend(handles, labels, loc="outside upper left", ncols=2, frameon=False, fontsize=8)
    if lower is not None:
        _associations(lower, learnt, clouds["real"], clouds["generated"])
    return pixels(canvas)


def plain(text: str) -> str:
    """Text that matplotlib does not read as mathematics."""
    return text.replace("$", r"\$")


def _values(schema: Schema, units: Tensor) -> np.ndarray:
    """One number for each cell of the columns that are learnt: (N, C)."""
    parts = [column.values(part).cpu().numpy() for column, part in schema.cut(units) if column.width]
    return np.stack(parts, axis=1)


def _marginal(axes, column: Column, clouds: dict[str, np.ndarray]) -> None:
    """The distribution of one column: bars of its commonest words, or a histogram of its numbers."""
    colours = {"real": REAL, "generated": GENERATED}
    labels = getattr(column, "labels", None)
    order = ["real", "generated"]
    if labels is not None:
        counts = {name: np.bincount(k.astype(int), minlength=len(labels)) / len(k) for name, k in clouds.items()}
        first = counts.get("real", counts["generated"])
        common = np.argsort(-first, kind="stable")[:WORDS]
        for j, name in enumerate(name for name in order if name in counts):
            shares = counts[name][common]
            axes.barh(np.arange(len(common)) + 0.4 * (j - 0.5), shares, 0.4, color=colours[name], label=name)
        axes.set_yticks(range(len(common)), [plain(shorten(labels[k], LONG)) for k in common], fontsize=6)
        axes.invert_yaxis()
        return
    known = {name: values[~np.isnan(values)] for name, values in clouds.items()}
    first = known.get("real", known["generated"])
    if not len(first):
        return
    low, high = np.quantile(first, (0.002, 0.998))
    low, high = (low, high) if high > low else (first.min(), max(first.max(), first.min() + 1))
    for name in (name for name in order if name in known):
        weights = np.full(len(known[name]), 1 / max(len(known[name]), 1))
        bins = np.linspace(low, high, 30)
        axes.hist(known[name].clip(low, high), bins, weights=weights, color=colours[name], alpha=0.55, label=name)
    if isinstance(column, DateTime | Ordered):  # their numbers mean nothing to a reader
        ends = np.round([low, high])
        ticks = axes.set_xticks(ends, [plain(shorten(cell, LONG)) for cell in column.cells(ends)])
        for tick, side in zip(ticks, ("left", "right"), strict=True):
            tick.label1.set_horizontalalignment(side)


def _associations(figure, columns: Sequence[Column], real: np.ndarray, fake: np.ndarray) -> None:
    """Heat maps of the associations of all pairs: real, generated, difference."""
    names = tuple(column.name for column in columns)
    words = tuple(len(getattr(column, "labels", ())) for column in columns)
    a, b = (associations(Rows(values, names, words)) for values in (real, fake))
    axes = figure.subplots(1, 3)
    for panel, values, title in zip(axes, (a, b, b - a), ("real", "generated", "difference"), strict=True):
        image = panel.imshow(values, vmin=-1, vmax=1, cmap="RdBu_r")
        panel.set_title(f"association: {title}" if title != "difference" else title, fontsize=8)
        few = len(names) <= 24
        ticks, labels = (range(len(names)), [plain(shorten(name, LONG)) for name in names]) if few else ([], [])
        panel.set_xticks(ticks, labels, fontsize=5)
        panel.tick_params(axis="x", rotation=90)
        panel.set_yticks(ticks, labels, fontsize=5)
    figure.colorbar(image, ax=axes, shrink=0.8).ax.tick_params(labelsize=6)
