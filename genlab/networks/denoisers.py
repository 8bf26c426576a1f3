"""The choice of denoisers: `net=auto` picks a residual MLP for points and codes, a U-Net for images.

A denoiser maps (x, t, y) to an output of the shape of x: x (B, *shape), times t (B,) in [0, 1], labels y (B,) or None.
Whether the output is the noise, the clean sample or a velocity is up to the family.
"""

from collections.abc import Callable, Sequence

from torch import nn

from genlab.networks.table import pick
from genlab.networks.timed_mlp import TimedMLP
from genlab.networks.unet import UNet

Denoiser = Callable[[Sequence[int], int], nn.Module]  # (shape of a sample, number of classes or 0)


def denoiser(
    shape: Sequence[int],
    classes: int = 0,
    net: str = "auto",
    hidden: int = 128,
    blocks: int = 3,
    width: int = 32,
    patch: int = 1,
    dropout: float = 0.0,
    features: int | None = None,
) -> nn.Module:
    """Builds a net (x, t, y) -> (B, *shape).

    Args:
        classes: number of classes, 0 for none; the label `classes` then stands for "no class".
        net: auto, mlp or unet.
        hidden, blocks: width and number of residual blocks of an mlp.
        width, patch: channels at full size and patch side of a unet.
        dropout: share of the hidden units set to 0 in training.
        features: octaves of sines and cosines of each coordinate that an mlp sees; None: 4 in the plane, else 0.
    """
    if pick("denoiser", net, shape) == "unet":
        return UNet(shape, classes, width, dropout, patch)
    if features is None:
        features = 4 if tuple(shape) == (2,) else 0
    return TimedMLP(shape, classes, hidden, blocks, dropout, features)
