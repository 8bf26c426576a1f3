"""The choice of decoders and encoders: `net=auto` picks an MLP for points, a DCGAN net for images, a GNN for graphs.

There are two directions: `decoder` (vector -> sample: generators, decoders) and `encoder` (sample -> vector:
discriminators, critics, encoders). Both return raw values; the family maps them to the data's range.
"""

from collections.abc import Callable, Sequence

from torch import nn

from genlab.data.packed import Packed
from genlab.networks.dcgan import DCGANDecoder, DCGANEncoder
from genlab.networks.gnn import GraphDecoder, GraphEncoder
from genlab.networks.mlp import MLP
from genlab.networks.spectral import spectral_norm
from genlab.networks.table import pick

Decoder = Callable[[int, Sequence[int]], nn.Module]  # (length of the vector, shape of a sample)
Encoder = Callable[[Sequence[int], Sequence[int]], nn.Module]  # (shape of a sample, shape of the result)


def decoder(
    inputs: int,
    shape: Sequence[int],
    net: str = "auto",
    hidden: Sequence[int] = (128, 128),
    width: int = 64,
    activation: str = "relu",
    norm: str = "auto",
) -> nn.Module:
    """Builds a net from vectors (B, inputs) to samples (B, *shape).

    Args:
        net: auto, mlp, dcgan or gnn.
        hidden: widths of an mlp's hidden layers, or of the nodes after each layer of a gnn.
        width: channels of a dcgan at half the image's side.
        activation: relu, leaky_relu, silu, gelu, elu or tanh.
        norm: auto (none for mlp, layer for gnn, batch for dcgan), none, batch (not gnn), layer, post_batch (mlp).
    """
    kind = pick("decoder", net, shape)
    if kind == "gnn":
        assert isinstance(shape, Packed)
        return GraphDecoder(inputs, shape, hidden, activation, norm)
    if kind == "mlp":
        return MLP((inputs,), shape, hidden, activation, norm)
    return DCGANDecoder(inputs, shape, width, activation, norm)


def encoder(
    shape: Sequence[int],
    outputs: Sequence[int] = (),
    net: str = "auto",
    hidden: Sequence[int] = (128, 128),
    width: int = 64,
    activation: str = "leaky_relu",
    norm: str = "auto",
    spectral: bool = False,
) -> nn.Module:
    """Builds a net from samples (B, *shape) to vectors (B, *outputs), or to numbers (B,) for outputs ().

    For graphs, outputs (K, N) are K numbers for each node.

    Takes the options of `decoder`, and one more.

    Args:
        spectral: spectral normalization of every layer; it replaces another norm, so `norm: auto` is then none.
    """
    kind = pick("encoder", net, shape)
    if norm == "auto" and spectral:
        norm = "none"
    module: nn.Module
    if kind == "gnn":
        assert isinstance(shape, Packed)
        module = GraphEncoder(shape, outputs, hidden, activation, norm)
    elif kind == "mlp":
        module = MLP(shape, outputs, hidden, activation, norm)
    else:
        module = DCGANEncoder(shape, outputs, width, activation, norm)
    return spectral_norm(module) if spectral else module
