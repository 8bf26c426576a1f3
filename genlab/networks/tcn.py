"""The temporal convolutional net: residual blocks of causal convolutions whose dilation doubles from block to block.

    h <- act(skip(h) + act(conv(act(conv(h)))))        both convolutions of a block with dilation 2^i, i = 0, 1, ...

Step t of a block's output sees the steps t, t - 2^i, t - 2 · 2^i of its input and no later one. With as many blocks as
`blocks_for` returns, the last step sees the whole series.

S. Bai, J. Z. Kolter, V. Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence
Modeling", 2018, https://arxiv.org/abs/1803.01271 (section 3). Weight normalization and dropout are left out.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from genlab.errors import choose, within
from genlab.networks.activation import ACTIVATIONS
from genlab.networks.table import series

KERNEL = 3
NORMS = ("auto", "none", "layer")  # auto: none


def blocks_for(steps: int) -> int:
    """Returns the least number of blocks whose last step sees `steps` steps: 24 -> 3, 128 -> 6."""
    blocks = 1
    while 1 + 2 * (KERNEL - 1) * (2**blocks - 1) < steps:
        blocks += 1
    return blocks


class CausalConv1d(nn.Conv1d):
    """A convolution whose output at step t sees inputs up to step t: (B, C, T) -> (B, C', T)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.pad(input, ((KERNEL - 1) * self.dilation[0], 0)))


class Block(nn.Module):
    """Residual block of two dilated causal convolutions: (B, inputs, T) -> (B, width, T)."""

    def __init__(self, inputs: int, width: int, dilation: int, activation: str, norm: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (inputs, width):
            layers.append(CausalConv1d(channels, width, KERNEL, dilation=dilation))
            if norm == "layer":
                layers.append(StepNorm(width))
            layers.append(ACTIVATIONS[activation]())
        self.layers = nn.Sequential(*layers)
        self.skip = nn.Identity() if inputs == width else nn.Conv1d(inputs, width, 1)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, h: Tensor) -> Tensor:
        return self.activation(self.skip(h) + self.layers(h))


class StepNorm(nn.LayerNorm):
    """Layer norm over the channels of each step, which keeps a net causal: (B, C, T) -> (B, C, T)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.transpose(1, 2)).transpose(1, 2)


class TCN(nn.Module):
    """A net from series to vectors: residual blocks, of which the last step is mapped linearly.

    Args:
        shape: (C, T) of the series.
        outputs: shape of the result, () for a single number.
        width: channels of every block.
        blocks: number of blocks; None: as many as let the last step see the whole series.
        norm: auto (none), none or layer, over the channels of each step.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: Sequence[int] = (),
        width: int = 32,
        blocks: int | None = None,
        activation: str = "leaky_relu",
        norm: str = "none",
    ) -> None:
        super().__init__()
        choose("activation", activation, ACTIVATIONS)
        choose("norm", norm, NORMS)
        inputs, steps = series("tcn", shape)
        if blocks is not None:
            within("layers", blocks, 1)
        self.outputs = tuple(outputs)
        channels = [inputs] + [width] * (blocks or blocks_for(steps))
        self.blocks = nn.Sequential(
            *(Block(i, width, 2**level, activation, norm) for level, i in enumerate(channels[:-1]))
        )
        self.last = nn.Linear(width, sum(outputs) if outputs else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, T) to (B, *outputs)."""
        return self.last(self.features(x)).view(len(x), *self.outputs)

    def features(self, x: Tensor) -> Tensor:
        """Returns the last step: (B, C, T) -> (B, width)."""
        return self.blocks(x)[..., -1]
