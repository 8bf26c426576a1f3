"""Complete flows of the invertible layers: RealNVP for vectors, a multiscale Glow for images, and a dequantizer.

L. Dinh, J. Sohl-Dickstein, S. Bengio, "Density estimation using Real NVP", 2017, https://arxiv.org/abs/1605.08803
(squeeze and multiscale architecture: section 3.6).
D. P. Kingma, P. Dhariwal, "Glow", 2018, https://arxiv.org/abs/1807.03039 (one step of flow: figure 2a).
J. Ho et al., "Flow++: Improving Flow-Based Generative Models with Variational Dequantization and Architecture Design",
2019, https://arxiv.org/abs/1902.00275.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.networks.coupling import (
    ActNorm,
    Affine,
    Chain,
    Coupling,
    Invertible,
    InvertibleConv,
    Mapped,
    Permute,
    Spline,
)
from genlab.networks.mlp import MLP


class Flatten(Invertible):
    """Flattening: (B, *shape) -> (B, D)."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Mapped:
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Mapped:
        return z.unflatten(1, self.shape), z.new_zeros(len(z))


class Squeeze(Invertible):
    """Squeezing of each 2x2 block of pixels into four channels: (B, C, H, W) -> (B, 4 C, H/2, W/2)."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Mapped:
        return F.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Mapped:
        return F.pixel_shuffle(z, 2), z.new_zeros(len(z))


class Split(Invertible):
    """A split: half of the channels pass through `rest`, the others are output as they are: (B, *shape) -> (B, D).

    Args:
        shape: (C, H, W) of x, C even.
        rest: the levels below, (B, C/2, H, W) -> (B, D/2).
    """

    def __init__(self, shape: Sequence[int], rest: Invertible) -> None:
        super().__init__()
        self.part = (shape[0] // 2, *shape[1:])
        self.rest = rest

    def forward(self, x: Tensor, context: Tensor | None = None) -> Mapped:
        on, done = x.chunk(2, dim=1)
        z, log_det = self.rest(on, context)
        return torch.cat([z, done.flatten(1)], dim=1), log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Mapped:
        on, done = z.chunk(2, dim=1)
        x, log_det = self.rest.inverse(on, context)
        return torch.cat([x, done.unflatten(1, self.part)], dim=1), log_det


def conv_net(inputs: int, outputs: int, width: int) -> nn.Module:
    """Builds Glow's coupling net, 3x3 - 1x1 - 3x3 convolutions: (B, inputs, H, W) -> (B, outputs, H, W), 0 at first."""
    last = nn.Conv2d(width, outputs, 3, padding=1)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), last)


class Constant(nn.Module):
    """Learned values, 0 at first, the same for all samples: (B, ...) -> (B, outputs)."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.value.expand(len(x), -1)


def realnvp(
    shape: Sequence[int],
    transform: Affine | Spline,
    couplings: int = 8,
    hidden: Sequence[int] = (128, 128),
    activation: str = "relu",
    octaves: int = 0,
    context: int = 0,
) -> Chain:
    """Builds a RealNVP on the flattened sample, (B, *shape) -> (B, D): couplings alternate between even and odd places.

    An ActNorm comes first, which brings data of any scale to mean 0 and deviation 1. All couplings start as the
    identity. A single number has no other half to depend on, so its couplings have constant parameters: affine ones can
    then only fit a Gaussian, splines can fit more.

    Args:
        context: channels of a second input that all couplings depend on.
    """
    size = math.prod(shape)
    layers: list[Invertible] = [Flatten(shape)] if len(shape) > 1 else []
    layers.append(ActNorm(size))
    if size > 2:
        layers.append(Permute(torch.cat([torch.arange(0, size, 2), torch.arange(1, size, 2)])))
    kept = size // 2
    for _ in range(couplings):
        if size == 1 and not context:
            layers.append(Coupling(Constant(transform.size), 0, transform))
            continue
        net = MLP((kept + context,), ((size - kept) * transform.size,), hidden, activation, octaves=octaves)
        for parameter in net.layers[-1].parameters():
            nn.init.zeros_(parameter)
        layers.append(Coupling(net, kept, transform))
        kept = size - kept if size > 1 else 0
    return Chain(*layers)


def glow(shape: Sequence[int], transform: Affine | Spline, levels: int = 2, steps: int = 8, width: int = 64) -> Chain:
    """Builds a multiscale flow, (B, C, H, W) -> (B, D): at each of `levels` levels squeeze, `steps` steps, split.

    One step is ActNorm, invertible 1x1 convolution, coupling.

    Args:
        shape: (C, H, W) with sides that can be halved `levels` times.
        width: channels of the couplings' nets.
    """
    channels, height, side = 4 * shape[0], shape[1] // 2, shape[2] // 2
    layers: list[Invertible] = [Squeeze()]
    for _ in range(steps):
        net = conv_net(channels // 2, channels // 2 * transform.size, width)
        layers += [ActNorm(channels), InvertibleConv(channels), Coupling(net, channels // 2, transform)]
    inner = (channels, height, side)
    if levels > 1:
        layers.append(Split(inner, glow((channels // 2, height, side), transform, levels - 1, steps, width)))
    else:
        layers.append(Flatten(inner))
    return Chain(*layers)


class Dequantizer(nn.Module):
    """The noise q(u|x), u in (0, 1)^D: a conditional flow on noise ε ~ N(0, I), u = Φ(f(ε; x)) (Flow++, section 3.1).

    Φ is the normal distribution function, so q is exactly uniform if f is the identity, as it is at first.

    Args:
        shape: (C, H, W) with even sides.
    """

    def __init__(self, shape: Sequence[int], width: int = 32, couplings: int = 4) -> None:
        super().__init__()
        half = 2 * shape[0]
        self.flow = Chain(
            *[Coupling(conv_net(3 * half, half * Affine.size, width), half, Affine()) for _ in range(couplings)]
        )

    def forward(self, noise: Tensor, x: Tensor) -> Mapped:
        """Maps ε and pixels x in [0, 1], (B, C, H, W), to u and log q(u|x) in nats (B,)."""
        squeezed, log_det = self.flow(F.pixel_unshuffle(noise, 2), F.pixel_unshuffle(2 * x - 1, 2))
        # log q(u|x) = log N(ε) - log |∂f/∂ε| - Σ log φ(f); the constants of both normals cancel.
        log_q = 0.5 * (squeezed.square() - F.pixel_unshuffle(noise, 2).square()).flatten(1).sum(1) - log_det
        return torch.special.ndtr(F.pixel_shuffle(squeezed, 2)), log_q
