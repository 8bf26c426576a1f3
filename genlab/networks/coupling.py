"""Invertible layers with a cheap log-determinant, from which normalizing flows are built.

Each layer maps x -> z and back, and returns log |det ∂z/∂x| one way and log |det ∂x/∂z| the other. A coupling leaves
the half a of x = (a, b) unchanged and maps b elementwise with parameters computed from a:

    affine   b' = b exp(s(a)) + t(a),   |s| < s_max            log-determinant Σ s
    spline   b' = a rational-quadratic spline of b             log-determinant Σ log slope

so the Jacobian is triangular and any net may compute the parameters. The halves swap after each coupling, which gives
RealNVP's alternating masks.

L. Dinh, J. Sohl-Dickstein, S. Bengio, "Density estimation using Real NVP", 2017, https://arxiv.org/abs/1605.08803.
D. P. Kingma, P. Dhariwal, "Glow: Generative Flow with Invertible 1x1 Convolutions", 2018,
https://arxiv.org/abs/1807.03039.
C. Durkan et al., "Neural Spline Flows", 2019, https://arxiv.org/abs/1906.04032.
"""

from typing import cast

import torch
from torch import Tensor, nn

from genlab.networks.spline import spline

LEAST_DEVIATION = 0.1  # the least that ActNorm divides by; data and the outputs of layers have about 1
Mapped = tuple[Tensor, Tensor]  # the output, and the log-determinant (B,) of the map


class Invertible(nn.Module):
    """Base class of all layers. `context` is the second input of a conditional flow; most layers ignore it."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Mapped:
        """Maps x (B, ...) to z and log |det ∂z/∂x| (B,) in nats."""
        raise NotImplementedError

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Mapped:
        """Maps z (B, ...) to x and log |det ∂x/∂z| (B,) in nats, the negative of what `forward` returns at x."""
        raise NotImplementedError


class Chain(Invertible):
    """Layers applied in sequence; their log-determinants add up."""

    def __init__(self, *layers: Invertible) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Mapped:
        total = x.new_zeros(len(x))
        for layer in self.layers:
            x, log_det = layer(x, context)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Mapped:
        total = z.new_zeros(len(z))
        for layer in reversed(self.layers):
            z, log_det = cast(Invertible, layer).inverse(z, context)
            total = total + log_det
        return z, total


class Permute(Invertible):
    """A fixed permutation of the channels: z_i = x_order[i]."""

    order: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Mapped:
        return x.index_select(1, self.order), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Mapped:
        return z.index_select(1, self.order.argsort()), z.new_zeros(len(z))


class ActNorm(Invertible):
    """z = (x - m) / d · exp(s) + t for each channel (Glow, section 3.1).

    m and d are the mean and the standard deviation of the first batch in training mode (the trainer shows the family at
    least 256 samples before the first step). They are buffers, so that a resumed run and the EMA copy have the same
    values. s and t start at 0 and are learned.

    d is at least `LEAST_DEVIATION`. A channel that is constant in the first batch (a column with two ones in a thousand
    rows) may vary in the next, and dividing by almost 0 would make its values so large that training cannot recover.
    For a single value d is 1.
    """

    mean: Tensor
    log_deviation: Tensor
    initialised: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("log_deviation", torch.zeros(channels))
        self.register_buffer("initialised", torch.tensor(False))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets mean and deviation from the batch x (B, C, ...) if they are not yet set, without a host sync."""
        variance, mean = torch.var_mean(x, dim=(0, *range(2, x.dim())), correction=0)
        if x[:, 0].numel() == 1:
            variance = torch.ones_like(variance)
        log_deviation = variance.sqrt().clamp(min=LEAST_DEVIATION).log()
        self.mean.copy_(torch.where(self.initialised, self.mean, mean))
        self.log_deviation.copy_(torch.where(self.initialised, self.log_deviation, log_deviation))
        self.initialised.fill_(True)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Mapped:
        if self.training:
            self.initialise(x)
        log_scale, column = self.log_scale - self.log_deviation, (-1, *[1] * (x.dim() - 2))
        z = (x - self.mean.view(column)) * log_scale.exp().view(column) + self.shift.view(column)
        return z, (log_scale.sum() * x[0, 0].numel()).expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Mapped:
        log_scale, column = self.log_scale - self.log_deviation, (-1, *[1] * (z.dim() - 2))
        x = (z - self.shift.view(column)) * (-log_scale).exp().view(column) + self.mean.view(column)
        return x, (-log_scale.sum() * z[0, 0].numel()).expand(len(z))


class InvertibleConv(Invertible):
    """z = W x at every pixel, W a learned C x C matrix that starts as a random rotation (Glow, section 3.2).

    W = P L (U + diag(d)) with P a fixed permutation, L and U triangular: log |det W| = Σ log |d| (Glow, eq. 10 and 11),
    and the inverse takes two triangular solves.
    """

    sign: Tensor
    permutation: Tensor
    unit: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        permutation, lower, upper = torch.linalg.lu(nn.init.orthogonal_(torch.empty(channels, channels)))
        diagonal = upper.diagonal()
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_diagonal = nn.Parameter(diagonal.abs().log())
        self.register_buffer("sign", diagonal.sign())
        self.register_buffer("permutation", permutation)
        self.register_buffer("unit", torch.eye(channels))

    def factors(self) -> tuple[Tensor, Tensor]:
        """Returns L and U + diag(d)."""
        return self.lower.tril(-1) + self.unit, self.upper.triu(1) + (self.sign * self.log_diagonal.exp()).diag()

    def forward(self, x: Tensor, context: Tensor | None = None) -> Mapped:
        with torch.autocast(x.device.type, enabled=False):  # bf16 would break the inverse
            lower, upper = self.factors()
            z = (self.permutation @ lower @ upper @ x.flatten(2)).view_as(x)
        return z, (self.log_diagonal.sum() * x[0, 0].numel()).expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Mapped:
        with torch.autocast(z.device.type, enabled=False):
            lower, upper = self.factors()
            weight = torch.linalg.solve_triangular(lower, self.permutation.T, upper=False, unitriangular=True)
            weight = torch.linalg.solve_triangular(upper, weight, upper=True)
            x = (weight @ z.flatten(2)).view_as(z)
        return x, (-self.log_diagonal.sum() * z[0, 0].numel()).expand(len(z))


class Affine:
    """b' = b exp(s) + t with s = s_max tanh(raw / s_max), so that no single layer can blow up."""

    size = 2  # parameters per element

    def __init__(self, largest: float = 2.0) -> None:
        self.largest = largest

    def __call__(self, b: Tensor, raw: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Maps b (*shape), raw (*shape, 2) to b' and log |∂b'/∂b|, both (*shape)."""
        log_scale, shift = raw.unbind(-1)
        log_scale = self.largest * (log_scale / self.largest).tanh()
        if inverse:
            return (b - shift) * (-log_scale).exp(), -log_scale
        return b * log_scale.exp() + shift, log_scale


class Spline:
    """b' = a rational-quadratic spline of b with `bins` pieces on [-bound, bound], the identity outside."""

    def __init__(self, bins: int = 16, bound: float = 4.0) -> None:
        self.size, self.bound = 3 * bins - 1, bound

    def __call__(self, b: Tensor, raw: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Maps b (*shape), raw (*shape, 3 bins - 1) to b' and log |∂b'/∂b|, both (*shape)."""
        return spline(b, raw, self.bound, inverse)


class Coupling(Invertible):
    """(a, b) -> (g(b; net(a)), a): the second part is mapped given the first, then the parts swap.

    Args:
        net: (B, |a| + context channels, ...) -> (B, |b| · transform.size, ...).
        kept: |a|, the number of leading channels that stay unchanged.
        transform: the elementwise map g, Affine or Spline.
    """

    def __init__(self, net: nn.Module, kept: int, transform: Affine | Spline) -> None:
        super().__init__()
        self.net, self.kept, self.transform = net, kept, transform

    def parameters_of(self, a: Tensor, context: Tensor | None) -> Tensor:
        """Returns the parameters of g: (B, |b|, ..., transform.size), in a's precision."""
        raw = self.net(a if context is None else torch.cat([a, context], dim=1)).to(a.dtype)
        return raw.unflatten(1, (-1, self.transform.size)).movedim(2, -1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Mapped:
        a, b = x[:, : self.kept], x[:, self.kept :]
        b, log_slope = self.transform(b, self.parameters_of(a, context))
        return torch.cat([b, a], dim=1), log_slope.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Mapped:
        b, a = z.tensor_split((z.shape[1] - self.kept,), dim=1)
        b, log_slope = self.transform(b, self.parameters_of(a, context), inverse=True)
        return torch.cat([a, b], dim=1), log_slope.flatten(1).sum(1)
