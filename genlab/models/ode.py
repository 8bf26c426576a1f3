"""Ordinary differential equations dx/dt = v(x, t) on a fixed grid of times, and how they change a density.

    d log p(x(t)) / dt = -div v(x(t), t)                the instantaneous change of variables

The divergence is exact, with one gradient per dimension, or Hutchinson's unbiased estimate u·(∂v/∂x u), with one vector
u of independent random signs for the whole path.

R. T. Q. Chen et al., "Neural Ordinary Differential Equations", 2018, https://arxiv.org/abs/1806.07366 (theorem 1).
W. Grathwohl et al., "FFJORD", 2019, https://arxiv.org/abs/1810.01367 (Hutchinson's estimate, section 3.1).
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]  # (B, *shape), time -> (B, *shape)
State = tuple[Tensor, ...]
SOLVERS = ("euler", "midpoint", "rk4")
DIVERGENCES = ("auto", "exact", "hutchinson")


def integrate(velocity: Velocity, x: Tensor, times: list[float], solver: str) -> Tensor:
    """Returns x at the last of `times` from x (B, *shape) at the first, with one step of `solver` per interval."""
    return _solve(lambda state, t: (velocity(state[0], t),), (x,), times, solver)[0]


def integrate_density(
    velocity: Velocity, x: Tensor, times: list[float], solver: str, divergence: str
) -> tuple[Tensor, Tensor]:
    """Returns x at the last of `times`, and ∫ div v dt along the path in nats: (B, *shape) -> (B, *shape), (B,).

    So log p(x at the first time) = log p(x at the last time) + that integral.

    Args:
        divergence: exact, hutchinson (signs from torch's global generator), or auto: exact for vectors.
    """
    if divergence == "auto":
        divergence = "exact" if x.dim() == 2 else "hutchinson"
    signs = torch.randint_like(x, 2) * 2 - 1 if divergence == "hutchinson" else None

    def change(state: State, t: float) -> State:
        return with_divergence(lambda points: velocity(points, t), state[0], signs)

    x, total = _solve(change, (x, x.new_zeros(len(x))), times, solver)
    return x, total


def with_divergence(function: Callable[[Tensor], Tensor], x: Tensor, signs: Tensor | None) -> State:
    """Returns function(x) and its divergence, exact or estimated with `signs`: (B, *shape) -> (B, *shape), (B,)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = function(x)
        if signs is not None:
            slope = torch.autograd.grad(value, x, signs)[0]
            return value.detach(), (slope * signs).flatten(1).sum(1)
        columns = value.flatten(1).unbind(1)
        # Samples do not depend on each other, so the gradient of the sum over the batch holds each sample's own.
        slopes = [torch.autograd.grad(v.sum(), x, retain_graph=True)[0].flatten(1)[:, i] for i, v in enumerate(columns)]
    return value.detach(), torch.stack(slopes).sum(0)


def _solve(change: Callable[[State, float], State], state: State, times: list[float], solver: str) -> State:
    def moved(slope: State, h: float) -> State:
        return tuple(s + h * k for s, k in zip(state, slope, strict=True))

    for t, end in pairwise(times):
        h = end - t
        first = change(state, t)
        if solver == "euler":
            state = moved(first, h)
            continue
        middle = change(moved(first, h / 2), t + h / 2)
        if solver == "midpoint":
            state = moved(middle, h)
            continue
        third = change(moved(middle, h / 2), t + h / 2)
        fourth = change(moved(third, h), end)
        slopes = zip(first, middle, third, fourth, strict=True)
        state = moved(tuple((a + 2 * b + 2 * c + d) / 6 for a, b, c, d in slopes), h)
    return state
