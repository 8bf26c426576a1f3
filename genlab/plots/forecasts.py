"""Draws forecasts, and values filled into gaps, with their intervals. Pictures are (H, W, 3) uint8 arrays."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from genlab.metrics.series.forecasts import LEVELS, fan
from genlab.plots.canvas import new_figure, pixels
from genlab.plots.pairplot import GENERATED, REAL
from genlab.plots.shorten import shorten
from genlab.plots.tables import plain

SHOWN = 96  # steps of a picture that `genlab sample` draws, the last ones
NAME = 22  # most characters of a channel's name


def forecast(
    truth: Tensor,
    known: Tensor,
    ensemble: Tensor,
    names: Sequence[str] = (),
    steps: Sequence[float] | None = None,
) -> np.ndarray:
    """Draws a forecast, or values filled into gaps, with its 50 and 90 % intervals over what happened.

    Args:
        truth: (C, T) what happened, NaN where that is unknown.
        known: (C, T) bool, the cells that were given.
        ensemble: (m, C, T) drawn series, in the same units.
        names: of the channels.
        steps: (T,) positions on the horizontal axis; None: 0, 1, ...
    """
    channels, length = truth.shape
    at = np.arange(length) if steps is None else np.asarray(steps)
    bounds = fan(ensemble.double().cpu(), LEVELS).numpy()
    figure, canvas = new_figure(7, 1.7 * channels + 0.6)
    panels = figure.subplots(channels, 1, squeeze=False, sharex=True)[:, 0]
    for i, axes in enumerate(panels):
        given, happened = known[i].cpu().numpy().astype(bool), truth[i].double().cpu().numpy()
        # The fan starts from the known value beside a gap, where it has no width.
        gap = np.pad(~given, 1)
        beside = given & (gap[:-2] | gap[2:])
        bands = np.where(given, np.where(beside, happened, np.nan), bounds[:, i])
        axes.fill_between(at, bands[0], bands[4], color=GENERATED, alpha=0.2, linewidth=0, label="90 %")
        axes.fill_between(at, bands[1], bands[3], color=GENERATED, alpha=0.4, linewidth=0, label="50 %")
        axes.plot(at, bands[2], color=GENERATED, linewidth=1.2, label="median")
        hidden = np.where(given & ~beside, np.nan, happened)
        if np.isfinite(np.where(given, np.nan, happened)).any():
            axes.plot(at, hidden, "--", color=REAL, linewidth=1, label="what happened")
        axes.plot(at, np.where(given, happened, np.nan), ".-", color="black", linewidth=1, markersize=3, label="given")
        axes.set_ylabel(plain(shorten(names[i] if names else f"channel {i + 1}", NAME)), fontsize=8)
        axes.tick_params(labelsize=7)
    panels[-1].set_xlabel("step", fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=5, frameon=False, fontsize=8)
    return pixels(canvas)
