"""The choice of denoisers.

`net=auto` picks a residual MLP for points and codes, a U-Net for images and series, an edge transformer for graphs.

A denoiser maps (x, t, y) to an output of the shape of x: x (B, *shape), times t (B,) in [0, 1], labels y (B,) or None.
Whether the output is the noise, the clean sample or a velocity is up to the family.
"""

from collections.abc import Callable, Sequence

from torch import nn

from genlab.data.packed import Packed
from genlab.networks.diffwave import DiffWave
from genlab.networks.edge_transformer import EdgeTransformer
from genlab.networks.recurrent import CELLS, RecurrentDenoiser
from genlab.networks.table import pick
from genlab.networks.timed_mlp import TimedMLP
from genlab.networks.transformer import TransformerDenoiser
from genlab.networks.unet import UNet
from genlab.networks.unet1d import UNet1d

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
    layers: int | None = None,
    attention: bool = True,
    structure: bool = False,
) -> nn.Module:
    """Builds a net (x, t, y) -> (B, *shape).

    Args:
        classes: number of classes, 0 for none; the label `classes` then stands for "no class".
        net: auto, mlp, unet (images), unet1d, diffwave, gru, lstm, transformer (series) or edge_transformer (graphs).
        hidden, blocks: width and number of residual blocks of an mlp; an edge_transformer has as many blocks.
        width, patch: channels at full size and patch side of a unet; channels or units of the nets for series, and of a
            node in an edge_transformer.
        dropout: share of the hidden units of an mlp, a unet, a unet1d or an edge_transformer set to 0 in training.
        features: octaves of sines and cosines of each coordinate that an mlp sees; None: 4 in the plane, else 0.
        layers: of diffwave, gru, lstm and transformer; None: 8, 2, 2 and 3.
        attention: whether the lowest level of a unet1d has attention.
        structure: whether an edge_transformer sees the cycles and walks of graphs whose edges are one-hot.
    """
    kind = pick("denoiser", net, shape)
    if kind == "edge_transformer":
        assert isinstance(shape, Packed)
        return EdgeTransformer(shape, classes, width, blocks, dropout, structure)
    if kind == "unet":
        return UNet(shape, classes, width, dropout, patch)
    if kind == "unet1d":
        return UNet1d(shape, classes, width, dropout, attention)
    if kind == "diffwave":
        return DiffWave(shape, classes, width, 8 if layers is None else layers)
    if kind in CELLS:
        return RecurrentDenoiser(shape, classes, kind, width, 2 if layers is None else layers)
    if kind == "transformer":
        return TransformerDenoiser(shape, classes, width, 3 if layers is None else layers)
    if features is None:
        features = 4 if tuple(shape) == (2,) else 0
    return TimedMLP(shape, classes, hidden, blocks, dropout, features)
