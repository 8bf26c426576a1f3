"""A RealNVP for series: couplings that leave every other step, or every other channel, as it is.

With a the elements that stay and b the others,

    b' = g(b; net(a)),    log |det| = Σ log g'

a is the even steps, the even channels, the odd steps, the odd channels, and so on. The nets are convolutions over time,
in which the elements b are 0; their dilations are 1, 2, 4, 8 for one pair of couplings after the other. A series of one
channel only has couplings of steps.

L. Dinh, J. Sohl-Dickstein, S. Bengio, "Density estimation using Real NVP", 2017, https://arxiv.org/abs/1605.08803
(section 3.4 has both kinds of masks, for images).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genlab.errors import choose
from genlab.networks.activation import ACTIVATIONS
from genlab.networks.coupling import ActNorm, Affine, Chain, Invertible, Mapped, Spline
from genlab.networks.glow import Flatten
from genlab.networks.table import series

CHANNELS, STEPS = 1, 2  # axes of a batch of series
DILATIONS = (1, 2, 4, 8)


class Conditioner(nn.Module):
    """A net from series to the parameters of a coupling, 0 at first: (B, C, T) -> (B, outputs, T).

    Args:
        shape: (C, T).
        activation: the name of an activation.
    """

    def __init__(self, shape: Sequence[int], outputs: int, width: int, dilation: int, activation: str) -> None:
        super().__init__()
        channels, steps = shape
        self.first = nn.Conv1d(channels, width, 3, padding=1)
        self.places = nn.Parameter(torch.zeros(width, steps))  # tells the net where in the series it is
        self.middle = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.activation = ACTIVATIONS[activation]()
        self.last = nn.Conv1d(width, outputs, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x) + self.places
        h = h + self.middle(self.activation(h))
        return self.last(self.activation(h))


class AlternateCoupling(Invertible):
    """Every other element along an axis is mapped, given the rest: (B, C, T) -> (B, C, T).

    Args:
        net: (B, C, T) -> (B, parameters of g for the mapped channels, T); with axis STEPS all channels are mapped.
        shape: (C, T).
        axis: CHANNELS or STEPS.
        first: the first element that stays, 0 or 1.
        transform: the elementwise map g, Affine or Spline.
    """

    keep: Tensor
    order: Tensor

    def __init__(self, net: nn.Module, shape: Sequence[int], axis: int, first: int, transform: Affine | Spline) -> None:
        super().__init__()
        self.net, self.axis, self.transform = net, axis, transform
        self.stays, self.moves = slice(first, None, 2), slice(1 - first, None, 2)
        places = torch.arange(shape[axis - 1])
        keep = (places % 2 == first).float()
        self.register_buffer("keep", keep[:, None] if axis == CHANNELS else keep, persistent=False)
        # The places of the kept and the mapped elements, once they are concatenated.
        self.register_buffer("order", torch.cat([places[self.stays], places[self.moves]]).argsort(), persistent=False)

    def along(self, x: Tensor, part: slice) -> Tensor:
        """Returns part of the elements along the axis."""
        return x[:, part] if self.axis == CHANNELS else x[:, :, part]

    def mapped(self, x: Tensor, inverse: bool) -> Mapped:
        """Returns the output and log |det| of the map or of its inverse: (B, C, T), (B,)."""
        raw = self.net(x * self.keep).to(x.dtype).unflatten(1, (-1, self.transform.size)).movedim(2, -1)
        if self.axis == STEPS:
            raw = raw[:, :, self.moves]
        b, log_slope = self.transform(self.along(x, self.moves), raw, inverse)
        y = torch.cat([self.along(x, self.stays), b], dim=self.axis).index_select(self.axis, self.order)
        return y, log_slope.flatten(1).sum(1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Mapped:
        return self.mapped(x, inverse=False)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Mapped:
        return self.mapped(z, inverse=True)


def realnvp1d(
    shape: Sequence[int],
    transform: Affine | Spline,
    couplings: int = 8,
    width: int = 64,
    activation: str = "relu",
) -> Chain:
    """Builds a flow of alternate couplings, (B, C, T) -> (B, C T), all of which start as the identity.

    An ActNorm for each channel comes first.

    Args:
        shape: (C, T) with T of 2 or more.
        width: channels of the couplings' nets.

    Raises:
        UserError: the samples are not series of 2 or more steps.
    """
    choose("activation", activation, ACTIVATIONS)
    channels, steps = series("realnvp1d", shape, 2, "architecture")
    axes = (STEPS, CHANNELS) if channels > 1 else (STEPS,)
    dilations = [dilation for dilation in DILATIONS if dilation < steps]
    layers: list[Invertible] = [ActNorm(channels)]
    for i in range(couplings):
        turn, axis = divmod(i, len(axes))
        first, axis = turn % 2, axes[axis]
        mapped = channels if axis == STEPS else len(range(1 - first, channels, 2))
        net = Conditioner(shape, mapped * transform.size, width, dilations[turn % len(dilations)], activation)
        layers.append(AlternateCoupling(net, shape, axis, first, transform))
    return Chain(*layers, Flatten(shape))
