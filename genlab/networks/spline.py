"""Monotone rational-quadratic splines: elementwise bijections of the line with an inverse in closed form.

On [-B, B] the map runs through K + 1 knots (x_k, y_k) with slopes δ_k > 0 there; between two knots it is a ratio of
two quadratics in ξ = (x - x_k) / w_k, w_k = x_{k+1} - x_k. With the height h_k = y_{k+1} - y_k and the chord's slope
s_k = h_k / w_k,

    y = y_k + h_k (s_k ξ² + δ_k ξ (1 - ξ)) / (s_k + (δ_k + δ_{k+1} - 2 s_k) ξ (1 - ξ))                         (eq. 4)

Outside [-B, B] it is the identity, and the slopes at both ends are 1 ("linear tails").

C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, "Neural Spline Flows", 2019, https://arxiv.org/abs/1906.04032.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SMALLEST_BIN = 1e-4  # least width and height of a bin, as a share of 2B
SMALLEST_SLOPE = 1e-4


def spline(x: Tensor, raw: Tensor, bound: float, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """Maps each number of x by its own spline, or by the inverse of it.

    Args:
        x: (*shape).
        raw: (*shape, 3 K - 1) unconstrained: K widths, K heights, K - 1 inner slopes. All zero is the identity.
        bound: B.

    Returns:
        The mapped numbers and the logarithms of the slopes there, both (*shape).
    """
    bins = (raw.shape[-1] + 1) // 3
    x_knots, widths = _knots(raw[..., :bins], bound)
    y_knots, heights = _knots(raw[..., bins : 2 * bins], bound)
    # softplus(log(e - 1)) = 1: zero parameters give slope 1, which is also the slope at both ends.
    slopes = SMALLEST_SLOPE + F.softplus(raw[..., 2 * bins :] + math.log(math.expm1(1 - SMALLEST_SLOPE)))
    slopes = F.pad(slopes, (1, 1), value=1.0)

    inside, outside = x.abs() < bound, x
    x = x.clamp(-bound, bound)
    ends = (y_knots if inverse else x_knots)[..., 1:-1]
    k = (x[..., None] >= ends).sum(-1, keepdim=True)  # the bin that x is in
    table = torch.stack([x_knots[..., :-1], widths, y_knots[..., :-1], heights, slopes[..., :-1], slopes[..., 1:]])
    x_k, w, y_k, h, left, right = table.gather(-1, k.expand(6, *k.shape)).squeeze(-1).unbind()

    s = h / w
    bend = left + right - 2 * s
    if inverse:
        # eq. 6 to 8: ξ is the root of a ξ² + b ξ + c, in the numerically stable form.
        rise = x - y_k
        a = h * (s - left) + rise * bend
        b = h * left - rise * bend
        c = -s * rise
        root = (b.square() - 4 * a * c).clamp(min=0).sqrt()
        # In fp32 the root of a steep bin may lie slightly outside it, where the slope below could be negative.
        xi = (2 * c / (-b - root)).clamp(0, 1)
        y = x_k + xi * w
    else:
        xi = ((x - x_k) / w).clamp(0, 1)
    mixed = xi * (1 - xi)
    denominator = s + bend * mixed
    if not inverse:
        y = y_k + h * (s * xi.square() + left * mixed) / denominator  # eq. 4
    # eq. 5, the slope dy/dx.
    log_slope = (right * xi.square() + 2 * s * mixed + left * (1 - xi).square()).log()
    log_slope = log_slope + 2 * (s.log() - denominator.log())
    y = torch.where(inside, y, outside)
    return y, torch.where(inside, -log_slope if inverse else log_slope, 0.0)


def _knots(raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Maps K unconstrained numbers to K + 1 knots from -B to B, and the K distances between them."""
    bins = raw.shape[-1]
    parts = SMALLEST_BIN + (1 - SMALLEST_BIN * bins) * raw.softmax(-1)
    inner = 2 * bound * parts.cumsum(-1)[..., :-1] - bound
    knots = F.pad(F.pad(inner, (1, 0), value=-bound), (0, 1), value=bound)
    return knots, knots[..., 1:] - knots[..., :-1]
