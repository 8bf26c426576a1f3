"""How steady a loss is after warm-up.

Two losses of different scale (such as the binary cross-entropy of a GAN and the critic values of a Wasserstein GAN)
cannot be compared by their standard deviations: multiplied by ten, a loss is ten times as "volatile" without any change
in the training. So there are three figures for a series v_1 ... v_n, of which the last does not depend on the scale:

    std        standard deviation of v, as it is usually quoted
    residual   standard deviation of r = v minus its least-squares line
    roughness  √(η / 2),  η = mean (r_{i+1} - r_i)² / var r          (von Neumann's ratio)

The line is removed because a loss that falls steadily is not volatile. Independent values have roughness 1; a slow
swing is near 0; a zigzag reaches √2. So roughness tells how much of the spread is jitter from step to step rather than
slow movement; it does not tell how large the spread is.

J. von Neumann, "Distribution of the Ratio of the Mean Square Successive Difference to the Variance", 1941,
https://doi.org/10.1214/aoms/1177731677.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genlab.metrics.measure import Measure

WARM_UP = 0.1  # share of the run, from its first step, that is left out


class Volatility(NamedTuple):
    std: float
    residual: float  # std around the least-squares line
    roughness: float  # independent of scale; NaN for a constant series
    values: int  # number of values used


def volatility(values: Sequence[tuple[int, float]], warm_up: float = WARM_UP) -> Volatility:
    """Measures how steady (step, value) pairs, steps ascending, are after the share `warm_up` of the steps.

    A logged loss is the mean of a window of `trainer.log_every` steps: a longer window gives a smaller spread. For the
    standard deviation of batch losses, as papers quote it, use `trainer.log_every=1`.

    Raises:
        ValueError: fewer than three values are left.
    """
    first, last = (values[0][0], values[-1][0]) if values else (0, 0)
    kept = [(step, value) for step, value in values if step >= first + warm_up * (last - first)]
    if len(kept) < 3:
        raise ValueError(f"needs at least 3 values after warm-up, got {len(kept)}")
    step, value = np.array(kept, dtype=np.float64).T
    centred = step - step.mean()
    slope = (centred @ value) / (centred @ centred)
    rest = value - value.mean() - slope * centred
    residual = math.sqrt(rest @ rest / (len(rest) - 2))  # the line takes two degrees of freedom
    # Rounding errors of a constant or of a straight line are not movement.
    varies = residual > 1e-12 * max(1e-300, float(np.abs(value).max()))
    jump = float(np.square(np.diff(rest)).mean())
    roughness = math.sqrt(jump / (2 * residual**2)) if varies else math.nan
    return Volatility(float(value.std(ddof=1)), residual, roughness, len(kept))


MEASURES = (
    Measure("std", "standard deviation of the loss after warm-up, in its own scale", ""),
    Measure("residual", "standard deviation of the loss around its linear trend after warm-up", ""),
    Measure("roughness", "jitter between steps relative to the spread: 1 for unrelated values, 0 for a slow swing", ""),
)
