"""The convolutional decoder and encoder of DCGAN, for any image whose side can be halved.

A. Radford, L. Metz, S. Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", 2016, https://arxiv.org/abs/1511.06434. At 64x64 with width 64 this is the paper's net: 512-256-128-64
channels, 4x4 kernels. At 28x28 it has two levels, 7 and 14, at 32x32 three.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from genlab.errors import OptionError, choose
from genlab.networks.activation import ACTIVATIONS

NORMS = ("auto", "none", "batch", "layer")  # auto: batch, as in the paper


def levels(side: int) -> tuple[int, int]:
    """Returns how often a side can be halved, and the side that is left: 64 -> (4, 4), 32 -> (3, 4), 28 -> (2, 7)."""
    halvings = 0
    while side % 2 == 0 and side > 4:
        side, halvings = side // 2, halvings + 1
    return halvings, side


def _checked(shape: Sequence[int], norm: str, activation: str) -> str:
    """Checks the options of a DCGAN net, and returns the norm with `auto` resolved."""
    choose("activation", activation, ACTIVATIONS)
    choose("norm", norm, NORMS)
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] % 2 or levels(shape[1])[1] > 8:
        raise OptionError(
            "net",
            "dcgan needs square images whose side halves down to 8 or less (28, 32, 64, ...), "
            f"not samples of shape {tuple(shape)}; use mlp",
        )
    return "batch" if norm == "auto" else norm


def _block(conv: nn.Module, channels: int, norm: str, activation: str) -> list[nn.Module]:
    layers = [conv, ACTIVATIONS[activation]()]
    if norm == "batch":
        layers.insert(1, nn.BatchNorm2d(channels))
    elif norm == "layer":
        layers.insert(1, nn.GroupNorm(1, channels))  # over channels and pixels of one sample
    return layers


def _initialise(net: nn.Module, norm: str) -> None:
    """Draws all convolutions from N(0, 0.02²) (section 3 of the paper) if BatchNorm rescales their outputs."""
    if norm != "batch":
        return
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)


class DCGANDecoder(nn.Module):
    """A net from vectors to images, of strided transposed convolutions.

    Args:
        inputs: length of the vector.
        shape: (C, H, W) of the image.
        width: channels at half the image's side; they double at each level below.
    """

    def __init__(
        self,
        inputs: int,
        shape: Sequence[int],
        width: int = 64,
        activation: str = "relu",
        norm: str = "batch",
    ) -> None:
        super().__init__()
        norm = _checked(shape, norm, activation)
        count, side = levels(shape[1])
        bias = norm == "none"
        channels = width * 2 ** (count - 1)
        layers = _block(nn.ConvTranspose2d(inputs, channels, side, bias=bias), channels, norm, activation)
        for _ in range(count - 1):
            conv = nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=bias)
            channels //= 2
            layers += _block(conv, channels, norm, activation)
        layers.append(nn.ConvTranspose2d(channels, shape[0], 4, 2, 1))
        self.layers = nn.Sequential(*layers)
        _initialise(self, norm)

    def forward(self, z: Tensor) -> Tensor:
        """Maps (B, inputs) to (B, C, H, W)."""
        return self.layers(z[:, :, None, None])


class DCGANEncoder(nn.Module):
    """A net from images to vectors, of strided convolutions; no norm on the first layer, as in the paper.

    Args:
        shape: (C, H, W) of the image.
        outputs: shape of the result, () for a single number.
        width: channels at half the image's side; they double at each level below.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: Sequence[int] = (),
        width: int = 64,
        activation: str = "leaky_relu",
        norm: str = "batch",
    ) -> None:
        super().__init__()
        norm = _checked(shape, norm, activation)
        count, side = levels(shape[1])
        channels = width
        layers = _block(nn.Conv2d(shape[0], width, 4, 2, 1), width, "none", activation)
        for _ in range(count - 1):
            conv = nn.Conv2d(channels, channels * 2, 4, 2, 1, bias=norm == "none")
            channels *= 2
            layers += _block(conv, channels, norm, activation)
        self.outputs = tuple(outputs)
        layers.append(nn.Conv2d(channels, sum(outputs) if outputs else 1, side))
        self.layers = nn.Sequential(*layers)
        _initialise(self, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, *outputs)."""
        return self.layers(x).view(len(x), *self.outputs)

    def features(self, x: Tensor) -> Tensor:
        """Returns the input of the last layer, flattened: (B, C, H, W) -> (B, channels * side * side)."""
        return self.layers[:-1](x).flatten(1)
