"""Draws one picture of several runs: the last samples of each side by side, above the curves of all of them."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from genlab.plots.canvas import new_figure, pixels
from genlab.plots.shorten import shorten
from genlab.report.comparison import Configuration, differing
from genlab.runs.history import History

STRIP = 300  # pixels that a grid of images is cropped to, from its upper left corner
SHOWN = 10  # configurations in one picture, from the first
ACROSS = 5  # configurations in a row
TITLE, LEGEND = 36, 72  # characters of a name


def newest_picture(run: History) -> Image.Image | None:
    """Returns the newest picture of samples, else of translations or reconstructions; None if the run has none."""
    for name in ("samples", "translations", "reconstructions"):
        if run.pictures.get(name):
            return Image.open(run.pictures[name][-1].path).convert("RGB")
    return None


def curve_tag(configurations: Sequence[Configuration], measure: str) -> str | None:
    """Returns the tag to draw: that of the measure during training, else the eval/... tag that most runs have."""
    counts: dict[str, int] = {}
    for configuration in configurations:
        for run in configuration.runs:
            for tag in run.metrics:
                if tag.startswith("eval/"):
                    counts[tag] = counts.get(tag, 0) + 1
    for tag in (measure, f"eval/{measure}"):
        if tag in counts:
            return tag
    return max(counts, key=lambda tag: counts[tag]) if counts else None


def sheet(configurations: Sequence[Configuration], measure: str) -> Image.Image:
    """Draws samples of each configuration (from its first run), in the order given, above the curves of a measure.

    Each run has a curve; those of one configuration share a colour, which also frames its samples.
    """
    shown = list(configurations)[:SHOWN]
    names = captions(shown)
    down = math.ceil(len(shown) / ACROSS)
    across = math.ceil(len(shown) / down)
    figure, canvas = new_figure(max(6.0, 2.6 * across), 3.0 * down + 3.4, dpi=110)
    figure.set_layout_engine("constrained", h_pad=0.1)  # room for titles of two lines
    above, below = np.ravel(np.asarray(figure.subfigures(2, 1, height_ratios=[down, 1.15])))
    for i, configuration in enumerate(shown):
        axes = above.add_subplot(down, across, i + 1)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color=f"C{i}", linewidth=3)
        figure_of = configuration.figure(measure)
        value = f"{measure} {figure_of.mean:.4g}" if figure_of else configuration.state
        axes.set_title(f"{shorten(names[i], TITLE)}\n{value}", fontsize=9)
        image = newest_picture(configuration.runs[0])
        if image is not None:
            side = min(*image.size, STRIP)
            shows_images = configuration.settings.get("data.size")
            axes.imshow(
                np.asarray(image.crop((0, 0, side, side)) if shows_images else image), interpolation="antialiased"
            )
    tag = curve_tag(shown, measure)
    axes = below.add_subplot()
    for i, configuration in enumerate(shown):
        for k, run in enumerate(configuration.runs):
            points = run.metrics.get(tag or "", [])
            if points:
                steps, values = zip(*points, strict=True)
                label = shorten(names[i], LEGEND) if k == 0 else None
                axes.plot(steps, values, color=f"C{i}", linewidth=1.2, marker=".", label=label)
    axes.set(xlabel="training step", ylabel=tag or "")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return Image.fromarray(pixels(canvas))


def captions(configurations: Sequence[Configuration]) -> list[str]:
    """Returns the model of each configuration, and where several have the same model also how they differ."""
    models = [str(c.settings.get("model._target_", "?")).rpartition(".")[2] for c in configurations]
    found = []
    for model, configuration in zip(models, configurations, strict=True):
        alike = [other for name, other in zip(models, configurations, strict=True) if name == model]
        keys = differing(alike) if len(alike) > 1 else []
        settings = ", ".join(f"{key.rpartition('.')[2]} {configuration.settings[key]}" for key in keys[:3])
        found.append(f"{model} {settings}".strip())
    return found
