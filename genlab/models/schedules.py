"""Schedules of discrete noise levels ᾱ_t, t = 0, ..., T, and the levels at which samplers call the net.

J. Ho, A. Jain, P. Abbeel, "Denoising Diffusion Probabilistic Models", 2020, https://arxiv.org/abs/2006.11239.
A. Nichol, P. Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021, https://arxiv.org/abs/2102.09672.
"""

import math

import torch
from torch import Tensor

from genlab.errors import OptionError

SCHEDULES = ("linear", "cosine")
LEAST_SIGNAL = 4e-5  # ᾱ at which sampling of points and codes starts: the end of the linear schedule for T = 1000
MOST_SIGNAL = 4e-4  # with more, q(x_t) is not close enough to N(0, I) to start from


def alpha_bars(schedule: str, timesteps: int) -> Tensor:
    """Returns ᾱ_0 = 1 to ᾱ_T, (T + 1,) float64."""
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    if schedule == "linear":  # 1e-4 to 0.02 for T = 1000, and the same total noise for any other T
        beta = torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64) * (1000 / timesteps)
    else:  # eq. 17 of Nichol, Dhariwal
        f = ((t + 0.008) / 1.008 * math.pi / 2).cos().square()
        beta = 1 - f[1:] / f[:-1]
    return torch.cat([t.new_ones(1), (1 - beta.clamp(max=0.999)).cumprod(0)])


def check_sample_steps(sample_steps: int, timesteps: int) -> None:
    """Checks the number of steps of a sampler.

    Raises:
        OptionError: there are none, or more than there are noise levels.
    """
    if not 1 <= sample_steps <= timesteps:
        raise OptionError("sample_steps", f"must be between 1 and timesteps ({timesteps}), got {sample_steps}")


def first_time(bars: Tensor) -> int:
    """Returns the time at which samplers start: the last one at which ᾱ_t is `LEAST_SIGNAL` or more.

    There q(x_t) is N(0, I) up to √ᾱ_t. Beyond it (the cosine schedule ends at 2e-9) the clean sample is the difference
    of two nearly equal numbers over √ᾱ_t, which amplifies errors of the net. A schedule with few levels may have no
    time at which ᾱ_t is small but not too small; it starts at T.
    """
    last = int((bars >= LEAST_SIGNAL).nonzero().max())
    return last if bars[last] <= MOST_SIGNAL else len(bars) - 1


def sample_times(timesteps: int, steps: int) -> list[int]:
    """Returns `steps` + 1 times from T to 0, T (i/steps)²: dense near 0, where details emerge; all if steps = T."""
    times = [0]
    for i in range(1, steps + 1):
        times.append(max(times[-1] + 1, round(timesteps * (i / steps) ** 2)))
    return times[::-1]
