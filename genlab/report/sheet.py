"""One picture of several runs: the last samples of each side by side, and below them the curves over one another."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from genlab.report.comparison import Configuration, differing
from genlab.runs.history import History

STRIP = 300  # pixels that a picture of samples is cut to, from its upper left corner
SHOWN = 10  # configurations in one picture, the best first
ACROSS = 5  # of them side by side


def newest_picture(run: History) -> Image.Image | None:
    """The newest picture of samples (of reconstructions, of translations) of a run; None where there is none."""
    for name in ("samples", "translations", "reconstructions"):
        if run.pictures.get(name):
            return Image.open(run.pictures[name][-1].path).convert("RGB")
    return None


def curve_tag(configurations: Sequence[Configuration], measure: str) -> str | None:
    """The tag whose curve is drawn: that of the measure in training, else the eval/... that the most runs have."""
    runs = [run for each in configurations for run in each.runs]
    counts: dict[str, int] = {}
    for run in runs:
        for tag in run.metrics:
            if tag.startswith("eval/"):
                counts[tag] = counts.get(tag, 0) + 1
    for tag in (measure, f"eval/{measure}"):
        if tag in counts:
            return tag
    return max(counts, key=lambda tag: counts[tag]) if counts else None


def sheet(configurations: Sequence[Configuration], measure: str) -> Image.Image:
    """Samples of each configuration (of its first run) in the order given, over the curves of a measure of training.

    Each run's curve is thin; those of one configuration share a colour.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list(configurations)[:SHOWN]
    names = captions(shown)
    down = math.ceil(len(shown) / ACROSS)
    across = math.ceil(len(shown) / down)
    figure = Figure(figsize=(max(6.0, 2.6 * across), 3.0 * down + 3.4), dpi=110)
    figure.set_layout_engine("constrained", h_pad=0.1)  # room for titles of two lines
    canvas = FigureCanvasAgg(figure)
    above, below = np.ravel(np.asarray(figure.subfigures(2, 1, height_ratios=[down, 1.15])))
    for i, each in enumerate(shown):
        axes = above.add_subplot(down, across, i + 1)
        axes.set_axis_off()
        figure_of = each.figure(measure)
        value = f"\n{measure} {figure_of.mean:.4g}" if figure_of else f"\n{each.state}"
        axes.set_title(f"{names[i]}{value}", fontsize=9)
        image = newest_picture(each.runs[0])
        if image is not None:
            side = min(*image.size, STRIP) if each.settings.get("data.size") else min(image.size)
            axes.imshow(np.asarray(image.crop((0, 0, side, side))), interpolation="nearest")
    tag = curve_tag(shown, measure)
    axes = below.add_subplot()
    for i, each in enumerate(shown):
        for k, run in enumerate(each.runs):
            points = run.metrics.get(tag or "", [])
            if points:
                steps, values = zip(*points, strict=True)
                axes.plot(steps, values, color=f"C{i}", linewidth=1.2, marker=".", label=names[i] if k == 0 else None)
    axes.set(xlabel="training step", ylabel=tag or "")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def captions(configurations: Sequence[Configuration]) -> list[str]:
    """The model of each; of several with the same model also what they differ in."""
    models = [str(each.settings.get("model._target_", "?")).rpartition(".")[2] for each in configurations]
    found = []
    for model, each in zip(models, configurations, strict=True):
        alike = [other for name, other in zip(models, configurations, strict=True) if name == model]
        keys = differing(alike) if len(alike) > 1 else []
        settings = ", ".join(f"{key.rpartition('.')[2]} {each.settings[key]}" for key in keys[:3])
        found.append(f"{model} {settings}".strip())
    return found
