"""The choice of denoisers.

`net=auto` picks a residual MLP for points and codes, a U-Net for images, an edge transformer for graphs.

A denoiser maps (x, t, y) to an output of the shape of x: x (B, *shape), times t (B,) in [0, 1], labels y (B,) or None.
Whether the output is the noise, the clean sample or a velocity is up to the family.
"""

from collections.abc import Callable, Sequence

from torch import nn

from genlab.data.packed import Packed
from genlab.networks.edge_transformer import EdgeTransformer
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
    structure: bool = False,
) -> nn.Module:
    """Builds a net (x, t, y) -> (B, *shape).

    Args:
        classes: number of classes, 0 for none; the label `classes` then stands for "no class".
        net: auto, mlp, unet or edge_transformer.
        hidden, blocks: width and number of residual blocks of an mlp; an edge_transformer has as many blocks.
        width, patch: channels at full size and patch side of a unet; channels of a node in an edge_transformer.
        dropout: share of the hidden units set to 0 in training.
        features: octaves of sines and cosines of each coordinate that an mlp sees; None: 4 in the plane, else 0.
        structure: whether an edge_transformer sees the cycles and walks of graphs whose edges are one-hot.
    """
    kind = pick("denoiser", net, shape)
    if kind == "edge_transformer":
        assert isinstance(shape, Packed)
        return EdgeTransformer(shape, classes, width, blocks, dropout, structure)
    if kind == "unet":
        return UNet(shape, classes, width, dropout, patch)
    if features is None:
        features = 4 if tuple(shape) == (2,) else 0
    return TimedMLP(shape, classes, hidden, blocks, dropout, features)
