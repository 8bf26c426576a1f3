"""The convolutional encoder and decoder of series (B, C, T) of any length: strided convolutions, and their reverse.

Each level of the encoder halves the length, rounding up, and doubles the channels; the last is flattened and mapped
linearly. The decoder does the same in reverse, and cuts each level to the length that it has in the encoder.

With `dense` the decoder ends in a linear map between whole series. With width 50, three levels and `dense` the nets are
the base version of TimeVAE: A. Desai, C. Freeman, Z. Wang, I. Beaver, "TimeVAE: A Variational Auto-Encoder for
Multivariate Time Series Generation", 2021, https://arxiv.org/abs/2111.08095 (section 3.1; trends and seasonalities of
section 3.2 are left out).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from genlab.errors import choose, within
from genlab.networks.activation import ACTIVATIONS
from genlab.networks.table import series

NORMS = ("auto", "none", "batch", "layer")  # auto: none
SHORT, LONG = 4, 32  # steps that are not halved a second time, and those that are not halved a third time
MOST = 4  # levels, unless the user asks for more


def lengths(steps: int, levels: int | None = None) -> list[int]:
    """Returns the lengths of all levels: 4 -> [4, 2], 24 -> [24, 12, 6], 200 -> [200, 100, 50, 25].

    Args:
        levels: the number of halvings; None: two, or one for 4 steps or less, or as many as leave 32 steps or less, but
            at most four. With more levels, most of the time goes to the last ones, whose channels double.

    Raises:
        UserError: there are no levels, or more than it takes to get from `steps` to 1.
    """
    if levels is None:
        levels = 1 if steps <= SHORT else 2
        while levels < MOST and steps > LONG * 2**levels:
            levels += 1
    within("layers", levels, 1, max(1, (steps - 1).bit_length()))
    found = [steps]
    for _ in range(levels):
        found.append(-(-found[-1] // 2))
    return found


def normed(layer: nn.Module, channels: int, norm: str, activation: str) -> list[nn.Module]:
    """Returns a layer, its norm if there is one, and its activation."""
    layers = [layer, ACTIVATIONS[activation]()]
    if norm == "batch":
        layers.insert(1, nn.BatchNorm1d(channels))
    elif norm == "layer":
        layers.insert(1, nn.GroupNorm(1, channels))  # over channels and steps of one sample
    return layers


def checked(norm: str, activation: str) -> None:
    """Checks the names of a norm and an activation."""
    choose("activation", activation, ACTIVATIONS)
    choose("norm", norm, NORMS)


class Conv1dEncoder(nn.Module):
    """A net from series to vectors, of convolutions of stride 2.

    Args:
        shape: (C, T) of the series.
        outputs: shape of the result, () for a single number.
        width: channels at half the length; they double at each level below.
        levels: number of convolutions, each of which halves the length; None: see `lengths`.
        norm: auto (none), none, batch or layer; none follows the first convolution.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: Sequence[int] = (),
        width: int = 32,
        levels: int | None = None,
        activation: str = "leaky_relu",
        norm: str = "none",
    ) -> None:
        super().__init__()
        checked(norm, activation)
        inputs, steps = series("conv1d", shape)
        self.outputs = tuple(outputs)
        layers: list[nn.Module] = []
        sizes = lengths(steps, levels)[1:]
        for level in range(len(sizes)):
            channels = width * 2**level
            convolution = nn.Conv1d(inputs, channels, 3, stride=2, padding=1)
            layers += normed(convolution, channels, norm if level else "none", activation)
            inputs = channels
        last = nn.Linear(inputs * sizes[-1], sum(outputs) if outputs else 1)
        self.layers = nn.Sequential(*layers, nn.Flatten(), last)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, T) to (B, *outputs)."""
        return self.layers(x).view(len(x), *self.outputs)

    def features(self, x: Tensor) -> Tensor:
        """Returns the input of the last layer: (B, C, T) -> (B, channels * length)."""
        return self.layers[:-1](x)


class Conv1dDecoder(nn.Module):
    """A net from vectors to series, of transposed convolutions of stride 2.

    Args:
        inputs: length of the vector.
        shape: (C, T) of the series.
        width: channels at half the length; they double at each level below.
        levels: number of convolutions, each of which doubles the length; None: see `lengths`.
        norm: auto (none), none, batch or layer.
        dense: whether a linear map of the whole series, (C T) -> (C T), is the last layer.
    """

    def __init__(
        self,
        inputs: int,
        shape: Sequence[int],
        width: int = 32,
        levels: int | None = None,
        activation: str = "relu",
        norm: str = "none",
        dense: bool = False,
    ) -> None:
        super().__init__()
        checked(norm, activation)
        outputs, steps = series("conv1d", shape)
        self.shape = (outputs, steps)
        *sizes, shortest = lengths(steps, levels)
        channels = width * 2 ** (len(sizes) - 1)
        first = nn.Sequential(nn.Linear(inputs, channels * shortest), nn.Unflatten(1, (channels, shortest)))
        layers = normed(first, channels, norm, activation)
        for length in reversed(sizes[1:]):
            up = nn.Sequential(nn.ConvTranspose1d(channels, channels // 2, 4, 2, 1), Cut(length))
            channels //= 2
            layers += normed(up, channels, norm, activation)
        layers += [nn.ConvTranspose1d(channels, outputs, 4, 2, 1), Cut(steps)]
        if dense:
            layers += [ACTIVATIONS[activation](), nn.Flatten(), nn.Linear(outputs * steps, outputs * steps)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Maps (B, inputs) to (B, C, T)."""
        return self.layers(z).view(-1, *self.shape)


class Cut(nn.Module):
    """The first steps of a series: (B, C, T) -> (B, C, steps)."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : self.steps]
