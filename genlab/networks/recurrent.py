"""Recurrent nets for series: GRU and LSTM layers, and an encoder, a decoder and a denoiser made of them.

    GRU    r, z = sigmoid(W x_t + U h),  n = tanh(W_n x_t + r (U_n h)),      h <- (1 - z) n + z h
    LSTM   i, f, o = sigmoid(W x_t + U h),  g = tanh(W_g x_t + U_g h),       c <- f c + i g,  h <- o tanh(c)

The steps are a loop in Python, unlike torch's own `nn.GRU` and `nn.LSTM`. On one CPU thread it is as fast (GRU: 12.6 ms
a training step against 16.1 for 24 steps of 64 units, batch 128; LSTM: up to 1.5 times as slow), and it can be
differentiated twice on every device, as gradient penalties need and cuDNN's kernels cannot, and be traced into a graph.
A compiler unrolls the loop, which takes minutes; so `trainer.execution: auto` does not compile these nets.

K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014, https://arxiv.org/abs/1406.1078.
S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory", 1997, https://doi.org/10.1162/neco.1997.9.8.1735.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genlab.errors import choose, within
from genlab.networks.table import series
from genlab.networks.timed_mlp import TimeEmbedding

CODES = ("repeat", "state")


class Layer(nn.Module):
    """One recurrent layer over all steps: (T, B, inputs), initial states (B, width) -> (T, B, width).

    Args:
        inputs: numbers in one step of the input.
        width: units.
    """

    gates: int  # rows of each weight, in multiples of `width`
    states: int  # tensors that one step hands to the next

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Linear(inputs, self.gates * width)
        self.again = nn.Linear(width, self.gates * width)
        bound = 1 / math.sqrt(width)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def start(self, x: Tensor, state: Sequence[Tensor]) -> Sequence[Tensor]:
        """Returns the given initial state, or zeros."""
        return state or [x.new_zeros(x.shape[1], self.width)] * self.states

    def forward(self, x: Tensor, state: Sequence[Tensor] = ()) -> Tensor:
        raise NotImplementedError


class GRU(Layer):
    """A layer of gated recurrent units; its state is h."""

    gates, states = 3, 1

    def forward(self, x: Tensor, state: Sequence[Tensor] = ()) -> Tensor:
        (h,) = self.start(x, state)
        weight, bias, steps, split = self.again.weight, self.again.bias, [], (2 * self.width, self.width)
        for from_input in self.first(x).unbind(0):
            from_state = nn.functional.linear(h, weight, bias)
            gates, new = from_input.split(split, dim=1)
            own_gates, own = from_state.split(split, dim=1)
            reset, keep = (gates + own_gates).sigmoid().chunk(2, dim=1)
            new = (new + reset * own).tanh()
            h = new + keep * (h - new)
            steps.append(h)
        return torch.stack(steps)


class LSTM(Layer):
    """A layer of long short-term memory; its state is h and c."""

    gates, states = 4, 2

    def forward(self, x: Tensor, state: Sequence[Tensor] = ()) -> Tensor:
        h, c = self.start(x, state)
        weight, bias, steps = self.again.weight, self.again.bias, []
        for from_input in self.first(x).unbind(0):
            gates = from_input + nn.functional.linear(h, weight, bias)
            three, new = gates.split((3 * self.width, self.width), dim=1)
            add, keep, show = three.sigmoid().chunk(3, dim=1)
            c = keep * c + add * new.tanh()
            h = show * c.tanh()
            steps.append(h)
        return torch.stack(steps)


CELLS: dict[str, type[Layer]] = {"gru": GRU, "lstm": LSTM}


class Recurrent(nn.Module):
    """A stack of layers: (T, B, inputs) -> (T, B, size), `size` the width, or twice that if the layers go both ways.

    Args:
        both: whether each layer also runs from the last step to the first; its two outputs are concatenated.
    """

    def __init__(self, cell: str, inputs: int, width: int, layers: int, both: bool = False) -> None:
        super().__init__()
        choose("net", cell, CELLS)
        within("width", width, 1)
        within("layers", layers, 1)
        self.size = 2 * width if both else width
        sizes = [inputs] + [self.size] * (layers - 1)
        self.forwards = nn.ModuleList(CELLS[cell](size, width) for size in sizes)
        self.backwards = nn.ModuleList(CELLS[cell](size, width) for size in sizes) if both else None

    def forward(self, x: Tensor, state: Sequence[Sequence[Tensor]] = ()) -> Tensor:
        """Returns the outputs of the last layer; `state` holds the initial states of each layer, () for zeros."""
        for i, layer in enumerate(self.forwards):
            y = layer(x, state[i] if state else ())
            x = y if self.backwards is None else torch.cat([y, self.backwards[i](x.flip(0)).flip(0)], dim=2)
        return x


class RecurrentEncoder(nn.Module):
    """A net from series to vectors: the last layer's output at the last step, mapped linearly.

    Args:
        shape: (C, T) of the series.
        outputs: shape of the result, () for a single number.
        cell: gru or lstm.
    """

    def __init__(
        self, shape: Sequence[int], outputs: Sequence[int] = (), cell: str = "gru", width: int = 64, layers: int = 1
    ) -> None:
        super().__init__()
        channels, _ = series(cell, shape)
        self.outputs = tuple(outputs)
        self.net = Recurrent(cell, channels, width, layers)
        self.last = nn.Linear(width, sum(outputs) if outputs else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, T) to (B, *outputs)."""
        return self.last(self.features(x)).view(len(x), *self.outputs)

    def features(self, x: Tensor) -> Tensor:
        """Returns the output of the last step: (B, C, T) -> (B, width)."""
        return self.net(x.permute(2, 0, 1))[-1]


class RecurrentDecoder(nn.Module):
    """A net from vectors to series, which outputs one step after the other.

    Args:
        inputs: length of the vector z.
        shape: (C, T) of the series.
        cell: gru or lstm.
        code: repeat (z is the input at each step) or state (the initial state of each layer is a linear map of z, and
            the inputs are learned vectors, one for each step).
    """

    def __init__(
        self,
        inputs: int,
        shape: Sequence[int],
        cell: str = "gru",
        width: int = 64,
        layers: int = 1,
        code: str = "repeat",
    ) -> None:
        super().__init__()
        channels, self.steps = series(cell, shape)
        choose("code", code, CODES)
        given = inputs if code == "repeat" else width
        self.net = Recurrent(cell, given, width, layers)
        self.layers, self.states = layers, CELLS[cell].states
        if code == "state":
            self.state = nn.Linear(inputs, layers * self.states * width)
            self.places = nn.Parameter(torch.randn(self.steps, width) / math.sqrt(width))
        self.code = code
        self.last = nn.Linear(width, channels)

    def forward(self, z: Tensor) -> Tensor:
        """Maps (B, inputs) to (B, C, T)."""
        if self.code == "repeat":
            h = self.net(z.expand(self.steps, -1, -1))
        else:
            states = self.state(z).tanh().chunk(self.layers * self.states, dim=1)
            by_layer = [states[i : i + self.states] for i in range(0, len(states), self.states)]
            h = self.net(self.places[:, None].expand(-1, len(z), -1), by_layer)
        return self.last(h).permute(1, 2, 0)


class RecurrentDenoiser(nn.Module):
    """A denoiser of layers that go both ways, with time and class embedding, whose output is 0 at first.

    Args:
        shape: (C, T) of the series.
        classes: number of classes, 0 for none.
        cell: gru or lstm.
        width: units of each direction.
    """

    def __init__(
        self, shape: Sequence[int], classes: int = 0, cell: str = "gru", width: int = 64, layers: int = 2
    ) -> None:
        super().__init__()
        channels, _ = series(cell, shape)
        self.embedding = TimeEmbedding(width + width % 2, classes)
        self.time = nn.Linear(self.embedding.size, width)
        self.first = nn.Linear(channels, width)
        self.net = Recurrent(cell, width, width, layers, both=True)
        self.last = nn.Linear(2 * width, channels)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Maps (B, C, T), (B,) times in [0, 1] and (B,) labels to (B, C, T)."""
        embedded = self.time(nn.functional.silu(self.embedding(t, y)))
        return self.last(self.net(self.first(x.permute(2, 0, 1)) + embedded)).permute(1, 2, 0)


class RecurrentMap(nn.Module):
    """A causal net from series to series of other channels: layers, then a linear map of each step.

    Args:
        inputs, outputs: the channels of both.
        cell: gru or lstm.
    """

    def __init__(self, inputs: int, outputs: int, cell: str = "gru", width: int = 24, layers: int = 3) -> None:
        super().__init__()
        self.net = Recurrent(cell, inputs, width, layers)
        self.last = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, inputs, T) to (B, outputs, T)."""
        return self.last(self.net(x.permute(2, 0, 1))).permute(1, 2, 0)
