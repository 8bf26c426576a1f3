"""Multi-layer perceptrons (B, *inputs) -> (B, *outputs), which flatten samples inside and return raw values."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from genlab.errors import choose
from genlab.networks.activation import ACTIVATIONS
from genlab.networks.fourier import Fourier

# post_batch comes after the activation, as in many tutorials; batch and layer come before it.
NORMS = {"auto": None, "none": None, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "post_batch": nn.BatchNorm1d}


class MLP(nn.Module):
    """Fully connected layers `inputs` - hidden[0] - ... - `outputs`.

    Args:
        inputs, outputs: shapes of one sample's input and output, () for a single number.
        hidden: widths of the hidden layers.
        activation: relu, leaky_relu (slope 0.2), silu, gelu, elu or tanh.
        norm: auto (none), none, batch, layer (both before the activation), or post_batch (BatchNorm after it).
        octaves: octaves of sines and cosines of each input that the first layer sees too (`Fourier`), 0 for none.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        hidden: Sequence[int] = (128, 128),
        activation: str = "relu",
        norm: str = "none",
        octaves: int = 0,
    ) -> None:
        super().__init__()
        choose("activation", activation, ACTIVATIONS)
        choose("norm", norm, NORMS)
        self.outputs = tuple(outputs)
        layers: list[nn.Module] = []
        self.fourier = Fourier(octaves)
        width = self.fourier.widened(math.prod(inputs))
        for size in hidden:
            layers.append(nn.Linear(width, size))
            block = [ACTIVATIONS[activation]()]
            if make := NORMS[norm]:
                block.insert(1 if norm == "post_batch" else 0, make(size))
            layers += block
            width = size
        layers.append(nn.Linear(width, math.prod(outputs)))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, *inputs) to (B, *outputs)."""
        return self.layers(self.fourier(x.flatten(1))).view(len(x), *self.outputs)

    def features(self, x: Tensor) -> Tensor:
        """Returns the input of the last layer: (B, *inputs) -> (B, hidden[-1])."""
        return self.layers[:-1](self.fourier(x.flatten(1)))
