"""Schedules of discrete noise levels ᾱ_t, t = 0, ..., T, and the levels at which samplers call the net.

J. Ho, A. Jain, P. Abbeel, "Denoising Diffusion Probabilistic Models", 2020, https://arxiv.org/abs/2006.11239.
A. Nichol, P. Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021, https://arxiv.org/abs/2102.09672.
"""

import math

import torch
from torch import Tensor

SCHEDULES = ("linear", "cosine")
LEAST_SIGNAL = 4e-5  # ᾱ at which samples of points and codes start: what the linear schedule ends at for T = 1000
MOST_SIGNAL = 4e-4  # above, N(0, I) is not close enough to q(x_t) to start from


def alpha_bars(schedule: str, timesteps: int) -> Tensor:
    """ᾱ_0 = 1 to ᾱ_T, (T + 1,) float64."""
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    if schedule == "linear":  # 1e-4 to 0.02 for T = 1000, and as much noise in all for any other T
        beta = torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64) * (1000 / timesteps)
    else:  # eq. 17 of Nichol, Dhariwal
        f = ((t + 0.008) / 1.008 * math.pi / 2).cos().square()
        beta = 1 - f[1:] / f[:-1]
    return torch.cat([t.new_ones(1), (1 - beta.clamp(max=0.999)).cumprod(0)])


def first_time(bars: Tensor) -> int:
    """The time at which samplers start: the last one at which ᾱ_t is `LEAST_SIGNAL` or more.

    q(x_t) is N(0, I) there up to √ᾱ_t. Beyond it (the cosine schedule ends at 2e-9) the clean sample is the difference
    of two nearly equal numbers over √ᾱ_t, and an error of the net is blown up. Few levels of noise may have no time at
    which ᾱ_t is small, but not too small: they start at T.
    """
    last = int((bars >= LEAST_SIGNAL).nonzero().max())
    return last if bars[last] <= MOST_SIGNAL else len(bars) - 1


def sample_times(timesteps: int, steps: int) -> list[int]:
    """`steps` + 1 times from T down to 0, T (i/steps)²: dense near 0, where details arise; all times for steps = T."""
    times = [0]
    for i in range(1, steps + 1):
        times.append(max(times[-1] + 1, round(timesteps * (i / steps) ** 2)))
    return times[::-1]
