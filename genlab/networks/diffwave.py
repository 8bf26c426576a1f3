"""DiffWave: a denoiser of series made of gated, dilated convolutions, which see both earlier and later steps.

    u = conv(h + W E(t, y))   of kernel 3 and dilation 1, 2, 4, ..., repeated from 1
    v = W' tanh(u_1) sigmoid(u_2)                          u_1, u_2: the halves of u's channels
    h <- (h + v_1) / √2,  skip <- skip + v_2               v_1, v_2: the halves of v's channels

The output is two 1x1 convolutions of the sum of all skips.

Z. Kong, W. Ping, J. Huang, K. Zhao, B. Catanzaro, "DiffWave: A Versatile Diffusion Model for Audio Synthesis", 2021,
https://arxiv.org/abs/2009.09761 (figure 2, without a conditioner).
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from genlab.errors import within
from genlab.networks.table import series
from genlab.networks.timed_mlp import TimeEmbedding


class DiffWave(nn.Module):
    """Denoiser with time and class embedding, whose output is 0 at first.

    Args:
        shape: (C, T) of the series.
        classes: number of classes, 0 for none.
        width: channels of every layer.
        layers: number of layers. Dilations double until one is at least a quarter of T, then start again at 1.
    """

    def __init__(self, shape: Sequence[int], classes: int = 0, width: int = 32, layers: int = 8) -> None:
        super().__init__()
        channels, steps = series("diffwave", shape)
        within("width", width, 1)
        within("layers", layers, 1)
        self.embedding = TimeEmbedding(width + width % 2, classes)
        cycle = max(1, math.ceil(math.log2(max(steps / 4, 1))) + 1)
        self.first = nn.Conv1d(channels, width, 1)
        self.layers = nn.ModuleList(Layer(width, self.embedding.size, 2 ** (i % cycle)) for i in range(layers))
        self.middle, self.last = nn.Conv1d(width, width, 1), nn.Conv1d(width, channels, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Maps (B, C, T), (B,) times in [0, 1] and (B,) labels to (B, C, T)."""
        embedded, h = F.silu(self.embedding(t, y)), F.relu(self.first(x))
        total: Tensor | None = None
        for layer in self.layers:
            h, skip = layer(h, embedded)
            total = skip if total is None else total + skip
        assert total is not None
        return self.last(F.relu(self.middle(total / math.sqrt(len(self.layers)))))


class Layer(nn.Module):
    """One gated convolution: (B, width, T), (B, size) -> the next layer's input and the skip, both (B, width, T)."""

    def __init__(self, width: int, size: int, dilation: int) -> None:
        super().__init__()
        self.time = nn.Linear(size, width)
        self.gates = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.out = nn.Conv1d(width, 2 * width, 1)

    def forward(self, h: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        values, gate = self.gates(h + self.time(embedded)[:, :, None]).chunk(2, dim=1)
        on, skip = self.out(values.tanh() * gate.sigmoid()).chunk(2, dim=1)
        return (h + on) / math.sqrt(2), skip
