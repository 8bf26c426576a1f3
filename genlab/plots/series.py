"""Draws series: samples over real ones, channel by channel. Pictures are (H, W, 3) uint8 arrays.

A picture has a row for each channel: single series, their quantiles at each step, the autocorrelation and the spectrum;
a channel of words has the shares of its words at each step instead. Below, all series as points, and the correlations
of the channels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlab.data.spec import Spec
from genlab.metrics.series.channels import Channel, channels_of, values
from genlab.metrics.series.dependence import autocorrelations, correlations, lags_of, spectrum
from genlab.plots.canvas import new_figure, pixels
from genlab.plots.embedding import principal_plane, tsne_plane
from genlab.plots.pairplot import GENERATED, REAL
from genlab.plots.shorten import shorten
from genlab.plots.tables import plain

SERIES = 256  # drawn from a model for a picture during training
LINES = 8  # single series of each kind in a panel
CHANNELS = 4  # rows of a picture during training, from the first channel
ALL = 12  # rows of a picture in a file
POINTS = 250  # series of each kind that are drawn as points
WORDS = 3  # shares of words, from the commonest
PAIRS = 5  # series beside their reconstructions
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NAME, LONG = 22, 12  # most characters of a channel's name beside a row, and on the axes of a matrix
COLOURS = {"real": REAL, "generated": GENERATED}


def series(spec: Spec, real: Tensor | None, fake: Tensor, most: int = CHANNELS, tsne: bool = False) -> np.ndarray:
    """Draws series in data units, fake (M, *shape) over real (N, *shape).

    Args:
        most: channels that get a row.
        tsne: also draw a t-SNE of all series, which takes seconds; without scikit-learn it is left out.
    """
    every = channels_of(spec)
    shown = every[:most]
    clouds = {} if real is None else {"real": values(spec, real).cpu()}
    clouds["generated"] = values(spec, fake).cpu()
    below = real is not None and min(map(len, clouds.values())) > 1
    heights = (1.6 * len(shown) + 0.5, 2.9 * below)
    figure, canvas = new_figure(11, sum(heights))
    upper, lower = (figure.subfigures(2, 1, height_ratios=heights).tolist()) if below else (figure, None)
    panels = upper.subplots(len(shown), 4, squeeze=False)
    for i, (row, channel) in enumerate(zip(panels, shown, strict=True)):
        own = {name: cells[:, i] for name, cells in clouds.items()}
        row[0].set_ylabel(plain(shorten(channel.name, NAME)), fontsize=8)
        if channel.labels:
            _words(row, channel, own)
        else:
            _numbers(row, channel, own)
    titles = ("single series", "quantiles 5, 25, 50, 75, 95 %", "autocorrelation", "spectrum")
    for column, title, label in zip(panels.T, titles, ("step", "step", "lag", "frequency"), strict=True):
        drawn = [axes for axes in column if axes.axison]  # a channel of words leaves two panels empty
        if drawn:
            drawn[0].set_title(title, fontsize=8)
            drawn[-1].set_xlabel(label, fontsize=8)
    upper.align_ylabels(panels[:, 0])
    _legend(upper, clouds)
    if lower is not None:
        _below(lower, every, clouds, tsne)
    return pixels(canvas)


def pairs(spec: Spec, real: Tensor, again: Tensor) -> np.ndarray:
    """Draws series (N, *shape) in data units with their reconstructions (N, *shape), each pair in a column."""
    shown = channels_of(spec)[:CHANNELS]
    clouds = {"real": values(spec, real[:PAIRS]).cpu(), "reconstructed": values(spec, again[:PAIRS]).cpu()}
    across = len(clouds["real"])
    figure, canvas = new_figure(2.3 * across, 1.5 * len(shown) + 0.6)
    panels = figure.subplots(len(shown), across, squeeze=False, sharex=True)
    for i, channel in enumerate(shown):
        for j, axes in enumerate(panels[i]):
            axes.tick_params(labelsize=6)
            for name, colour in (("real", REAL), ("reconstructed", GENERATED)):
                _line(axes, clouds[name][j, i], channel, color=colour, linewidth=1, label=name)
            if channel.labels:
                _word_ticks(axes, channel, named=j == 0)
        panels[i, 0].set_ylabel(plain(shorten(channel.name, NAME)), fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("step", fontsize=8)
    figure.align_ylabels(panels[:, 0])
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2, frameon=False, fontsize=8)
    return pixels(canvas)


def _line(axes: Any, x: Tensor, channel: Channel, **style: Any) -> None:
    """One series (T,): words as steps, numbers as a line, with points where cells are missing."""
    if channel.labels:
        axes.step(np.arange(len(x)), x.numpy(), where="mid", **style)
    else:
        axes.plot(x.numpy(), marker="." if x.isnan().any() or len(x) == 1 else "", markersize=3, **style)


def _numbers(row: Sequence[Any], channel: Channel, clouds: Mapping[str, Tensor]) -> None:
    """The four panels of a channel of numbers, (N, T) each."""
    first = next(iter(clouds.values()))
    scale = float(first[~first.isnan()].std(correction=0).nan_to_num(1.0)) or 1.0
    lags = lags_of(first.shape[1]) if first.shape[1] > 1 else 0
    for name, x in clouds.items():
        colour, top = COLOURS[name], name == "generated"
        for line in x[:LINES]:
            _line(row[0], line, channel, color=colour, linewidth=0.9, alpha=0.7)
        quantiles = _quantiles(x, QUANTILES)
        at = np.arange(x.shape[1])
        if top:
            for quantile, style in zip(quantiles, (":", "--", "-", "--", ":"), strict=True):
                row[1].plot(at, quantile, style, color=colour, linewidth=1.2)
        else:
            row[1].fill_between(at, quantiles[0], quantiles[4], color=colour, alpha=0.2, linewidth=0)
            row[1].fill_between(at, quantiles[1], quantiles[3], color=colour, alpha=0.35, linewidth=0)
            row[1].plot(at, quantiles[2], color=colour, linewidth=1.2)
        known = x.nan_to_num(float(x.nanmean().nan_to_num(0.0)))[:, None] / scale
        style = {"color": colour, "linewidth": 1.2, "marker": ".", "markersize": 3}
        row[2].plot(np.arange(lags + 1), [1.0, *autocorrelations(known, lags)[0].tolist()] if lags else [1.0], **style)
        power = spectrum(known)[0].numpy()
        row[3].plot(np.arange(len(power)) / x.shape[1], power.clip(1e-12), **style)
    low, high = _limits(clouds)
    for axes in row[:2]:
        axes.set_ylim(low, high)
    row[2].axhline(0, color="0.8", linewidth=0.6)
    row[3].set_yscale("log")
    for axes in row:
        axes.tick_params(which="both", labelsize=6)
        axes.yaxis.offsetText.set_fontsize(6)


def _limits(clouds: Mapping[str, Tensor]) -> tuple[float, float]:
    """The range of a channel: that of the real values, and of most generated ones."""
    ends = [
        _quantiles(x.flatten(), (0.0, 1.0) if name == "real" else (0.02, 0.98)).tolist() for name, x in clouds.items()
    ]
    ends = [end for end in ends if not np.isnan(end).any()] or [[0.0, 1.0]]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    margin = 0.06 * (high - low) or 1e-3 * max(abs(low), 1.0)
    return float(low - margin), float(high + margin)


def _quantiles(x: Tensor, levels: tuple[float, ...]) -> np.ndarray:
    """The quantiles of the known values over the first axis of x; NaN where none is known."""
    return np.stack([x.nanquantile(level, dim=0).numpy() for level in levels])


def _words(row: Sequence[Any], channel: Channel, clouds: Mapping[str, Tensor]) -> None:
    """The panels of a channel of words: single series and the shares of its commonest words at each step."""
    first = next(iter(clouds.values())).numpy()
    common = np.argsort(-np.bincount(first.astype(int).ravel(), minlength=len(channel.labels)), kind="stable")[:WORDS]
    for name, x in clouds.items():
        for line in x[:3]:
            _line(row[0], line, channel, color=COLOURS[name], linewidth=0.9, alpha=0.7)
        for word, style in zip(common.tolist(), ("-", "--", ":"), strict=False):
            label = plain(shorten(channel.labels[word], LONG)) if name == "generated" else None
            row[1].plot((x == word).double().mean(0).numpy(), style, color=COLOURS[name], linewidth=1.2, label=label)
    _word_ticks(row[0], channel)
    row[1].set_ylim(-0.05, 1.05)
    row[1].legend(fontsize=6, title="share of", title_fontsize=6, framealpha=0.6)
    for axes in row[:2]:
        axes.tick_params(labelsize=6)
    for axes in row[2:]:
        axes.axis("off")


def _word_ticks(axes: Any, channel: Channel, named: bool = True) -> None:
    count = len(channel.labels)
    shown = list(range(0, count, -(-count // 6)))
    axes.set_yticks(shown, [plain(shorten(channel.labels[k], LONG)) if named else "" for k in shown], fontsize=6)
    axes.set_ylim(-0.5, count - 0.5)


def _below(figure: Any, channels: Sequence[Channel], clouds: Mapping[str, Tensor], tsne: bool) -> None:
    """All series as points in a plane, and the correlations of the channels."""
    points = {name: x[:POINTS] for name, x in clouds.items()}
    planes = {"principal components": principal_plane(points)}
    if tsne and (plane := tsne_plane(points)) is not None:
        planes["t-SNE"] = plane
    maps = len(channels) > 1
    axes = figure.subplots(1, 4)
    for panel in axes[len(planes) + 2 * maps :]:
        panel.axis("off")
    for panel, (title, plane) in zip(axes, planes.items(), strict=False):
        for name, cloud in plane.items():
            panel.plot(cloud[:, 0], cloud[:, 1], ".", color=COLOURS[name], markersize=3, alpha=0.5)
        panel.set_title(title, fontsize=8)
        panel.tick_params(labelsize=6)
    if not maps:
        return
    few = len(channels) <= 16
    names = [plain(shorten(channel.name, LONG)) for channel in channels] if few else []
    image = None
    panels = axes[len(planes) : len(planes) + 2]
    for panel, (name, x) in zip(panels, clouds.items(), strict=True):
        middle = x.nanmean((0, 2), keepdim=True).nan_to_num(0.0)
        matrix = correlations(torch.where(x.isnan(), middle, x)).numpy()
        image = panel.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r", aspect="auto")
        panel.set_title(f"correlation: {name}", fontsize=8)
        panel.set_xticks(range(len(names)), names, fontsize=6, rotation=90)
        panel.set_yticks(range(len(names)), names, fontsize=6)
    figure.colorbar(image, ax=panels, shrink=0.8).ax.tick_params(labelsize=6)


def _legend(figure: Any, clouds: Mapping[str, Tensor]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=COLOURS[name], label=name) for name in clouds]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize=8)
