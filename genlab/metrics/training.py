"""How steady a loss is after warm-up.

Two losses of different scale (the binary cross-entropy of a GAN and the critic's values of a Wasserstein GAN, say)
cannot be compared by their standard deviations: multiply a loss by ten, and it is ten times as "volatile" without any
change in the training. So there are three figures of a series v_1 ... v_n, of which the last is free of scale:

    std        standard deviation of v, as it is usually quoted
    residual   standard deviation of r = v less its least-squares line
    roughness  √(η / 2),  η = mean (r_{i+1} - r_i)² / var r          (von Neumann's ratio)

The line is removed because a loss that falls evenly is not volatile. Values that do not know of one another have
roughness 1; a slow swing is near 0; a zigzag reaches √2. So roughness tells which part of the spread is jitter from
step to step and not slow movement; it does not tell how large the spread is.

J. von Neumann, "Distribution of the Ratio of the Mean Square Successive Difference to the Variance", 1941,
https://doi.org/10.1214/aoms/1177731677.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genlab.metrics.measure import Measure

WARM_UP = 0.1  # share of the run, from its first step to its last, that is left out
Series = list[tuple[int, float]]  # step and value, steps ascending


class Volatility(NamedTuple):
    std: float
    residual: float  # std around the least-squares line
    roughness: float  # without scale; NaN for a series that is constant
    values: int  # how many went in


def series(records: Iterable[Mapping[str, Any]], key: str) -> Series:
    """One column of metrics.jsonl, lines read as mappings; without partial windows and values that were not finite.

    Each value is the mean of a window of `trainer.log_every` steps: a longer window gives a smaller spread. What is
    quoted as the standard deviation of batch losses needs `trainer.log_every=1`.
    """
    found = [(r["step"], r[key]) for r in records if r.get(key) is not None and not r.get("partial")]
    return [(int(step), float(value)) for step, value in found]


def volatility(values: Sequence[tuple[int, float]], warm_up: float = WARM_UP) -> Volatility:
    """How steady (step, value) pairs are after the share `warm_up` of the steps, one window apart from another.

    Raises:
        ValueError: fewer than three values are left.
    """
    first, last = (values[0][0], values[-1][0]) if values else (0, 0)
    kept = [(step, value) for step, value in values if step >= first + warm_up * (last - first)]
    if len(kept) < 3:
        raise ValueError(f"{len(kept)} values after warm-up are too few")
    step, value = np.array(kept, dtype=np.float64).T
    centred = step - step.mean()
    slope = (centred @ value) / (centred @ centred)
    rest = value - value.mean() - slope * centred
    residual = math.sqrt(rest @ rest / (len(rest) - 2))  # two degrees of freedom went into the line
    # What rounding leaves of a constant or a straight line is no movement.
    moves = residual > 1e-12 * max(1e-300, float(np.abs(value).max()))
    jump = float(np.square(np.diff(rest)).mean())
    roughness = math.sqrt(jump / (2 * residual**2)) if moves else math.nan
    return Volatility(float(value.std(ddof=1)), residual, roughness, len(kept))


MEASURES = (
    Measure("std", "standard deviation of the loss after warm-up, in its own scale", ""),
    Measure("residual", "the same around the loss's straight trend", ""),
    Measure("roughness", "jitter from step to step over the spread: 1 for unrelated values, 0 for a slow swing", ""),
)
