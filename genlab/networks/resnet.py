"""Nets that keep the shape of a sample, and nets that judge it patch by patch.

`translator` builds the generator of an image-to-image translation, (B, *shape) -> (B, *shape), and `patches` its
discriminator. For images, these are a ResNet and a PatchGAN. For points, they are an MLP around the identity, G(x) =
x + mlp(x), whose last layer starts at 0, and a plain MLP with one output per point. `resnet1d.py` has those for series.

J.-Y. Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", 2017,
https://arxiv.org/abs/1703.10593 (section 7.2 has both nets, for 128 to 256 pixels; here they are cut down to 28 to 64).
J. Johnson, A. Alahi, L. Fei-Fei, "Perceptual Losses for Real-Time Style Transfer", 2016,
https://arxiv.org/abs/1603.08155 (the ResNet).
P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
https://arxiv.org/abs/1611.07004 (the PatchGAN).
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from genlab.errors import OptionError
from genlab.networks.mlp import MLP
from genlab.networks.resnet1d import PatchGAN1d, ResNet1d
from genlab.networks.table import pick, quarters

Translator = Callable[[Sequence[int]], nn.Module]  # from the shape of a sample
LARGE = 64  # side in pixels from which the nets halve it once more


def translator(
    shape: Sequence[int],
    net: str = "auto",
    hidden: Sequence[int] = (128, 128),
    width: int = 32,
    blocks: int = 3,
    activation: str = "relu",
) -> nn.Module:
    """Builds a net from samples to raw values of the same shape, which the family maps to the data's range.

    Args:
        net: auto (resnet for images, resnet1d for series, mlp for points), mlp, resnet or resnet1d.
        hidden, activation: widths and activation of an mlp.
        width, blocks: channels at full size and residual blocks of a resnet or a resnet1d.
    """
    kind = _pick(net, shape)
    if kind == "mlp":
        return ResidualMLP(shape, hidden, activation)
    return ResNet1d(shape, width, blocks) if kind == "resnet1d" else ResNet(shape, width, blocks)


def patches(
    shape: Sequence[int],
    net: str = "auto",
    hidden: Sequence[int] = (128, 128),
    width: int = 32,
    activation: str = "leaky_relu",
) -> nn.Module:
    """Builds a net from samples to numbers: (B, h, w) or (B, t), one for each part of a sample, or (B,) from an mlp.

    The options are those of `translator`; resnet and resnet1d stand for a PatchGAN, whose `width` is that at half the
    size.
    """
    kind = _pick(net, shape)
    if kind == "mlp":
        return MLP(shape, (), hidden, activation)
    return PatchGAN1d(shape, width) if kind == "resnet1d" else PatchGAN(shape, width)


def _pick(net: str, shape: Sequence[int]) -> str:
    kind = pick("translator", net, shape)
    if kind == "resnet" and not (len(shape) == 3 and quarters(shape)):
        raise OptionError(
            "net",
            "resnet needs images whose sides are 16 or more and divide by 4, "
            f"not samples of shape {tuple(shape)}; use mlp",
        )
    return kind


class ResidualMLP(nn.Module):
    """x + mlp(x), the identity when training begins, so that it starts from the map that moves nothing."""

    def __init__(self, shape: Sequence[int], hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        self.mlp = MLP(shape, shape, hidden, activation)
        last = self.mlp.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, *shape) to (B, *shape)."""
        return x + self.mlp(x)


def _normed(convolution: nn.Module, channels: int, activation: nn.Module) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(channels), activation]


def _initialise(net: nn.Module) -> None:
    """Draws all convolutions from N(0, 0.02²) (section 7.1 of the paper); instance norm rescales their outputs."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions with instance norm; reflection padding avoids a dark frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def convolution() -> nn.Module:
            return nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False)

        first = _normed(convolution(), channels, nn.ReLU())
        self.layers = nn.Sequential(*first, convolution(), nn.InstanceNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResNet(nn.Module):
    """7x7 convolution, strided convolutions, residual blocks, transposed convolutions, 7x7 convolution.

    Args:
        shape: (C, H, W); the side is halved once, or twice from 64 pixels.
        width: channels at full size; they double at each halving.
        blocks: residual blocks at the lowest size (the paper has 6 at 128 pixels).
    """

    def __init__(self, shape: Sequence[int], width: int, blocks: int) -> None:
        super().__init__()
        channels, halvings = width, 2 if min(shape[1:]) >= LARGE else 1
        reflect = {"padding": 3, "padding_mode": "reflect"}
        layers = _normed(nn.Conv2d(shape[0], width, 7, **reflect, bias=False), width, nn.ReLU())
        for _ in range(halvings):
            layers += _normed(nn.Conv2d(channels, 2 * channels, 3, 2, 1, bias=False), 2 * channels, nn.ReLU())
            channels *= 2
        layers += [ResidualBlock(channels) for _ in range(blocks)]
        for _ in range(halvings):
            up = nn.ConvTranspose2d(channels, channels // 2, 3, 2, 1, output_padding=1, bias=False)
            channels //= 2
            layers += _normed(up, channels, nn.ReLU())
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, shape[0], 7, **reflect))
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, H, W)."""
        return self.layers(x)


class PatchGAN(nn.Module):
    """4x4 convolutions; each output sees a patch of 16x16 pixels (34x34 in images of 64 or more), not the image.

    Args:
        width: channels after the first convolution; they double at each further one.
    """

    def __init__(self, shape: Sequence[int], width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 4, 2, 1), nn.LeakyReLU(0.2)]  # no norm on the first
        channels = width
        for stride in (2, 1) if min(shape[1:]) >= LARGE else (1,):
            convolution = nn.Conv2d(channels, 2 * channels, 4, stride, 1, bias=False)
            channels *= 2
            layers += _normed(convolution, channels, nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, 1, 1))
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, h, w), a logit for each patch."""
        return self.layers(x).squeeze(1)
