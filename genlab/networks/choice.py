"""The choice of decoders and encoders.

`net=auto` picks an MLP for points, a DCGAN net for images, conv1d for series, a GNN for graphs.

There are two directions: `decoder` (vector -> sample: generators, decoders) and `encoder` (sample -> vector:
discriminators, critics, encoders). Both return raw values; the family maps them to the data's range.
"""

from collections.abc import Callable, Sequence

from torch import nn

from genlab.data.packed import Packed
from genlab.errors import choose
from genlab.networks.conv1d import Conv1dDecoder, Conv1dEncoder
from genlab.networks.dcgan import DCGANDecoder, DCGANEncoder
from genlab.networks.gnn import GraphDecoder, GraphEncoder
from genlab.networks.mlp import MLP
from genlab.networks.recurrent import CELLS, RecurrentDecoder, RecurrentEncoder
from genlab.networks.spectral import spectral_norm
from genlab.networks.table import pick
from genlab.networks.tcn import TCN
from genlab.networks.transformer import TransformerDecoder, TransformerEncoder

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
    layers: int | None = None,
    code: str = "repeat",
    dense: bool = False,
) -> nn.Module:
    """Builds a net from vectors (B, inputs) to samples (B, *shape).

    Args:
        net: auto, mlp, dcgan (images), conv1d, gru, lstm, transformer (series) or gnn (graphs).
        hidden: widths of an mlp's hidden layers, or of the nodes after each layer of a gnn.
        width: channels of a dcgan at half the image's side, or of a conv1d at half the length; units of the others.
        activation: relu, leaky_relu, silu, gelu, elu or tanh; gru, lstm and transformer have their own.
        norm: auto (batch for dcgan, layer for gnn, else none), none, batch (not gnn), layer, post_batch (mlp only);
            gru, lstm and transformer only take auto.
        layers: of a net for series; None: 1 for gru and lstm, 2 for transformer, for conv1d 1 to 4, by the length.
        code: how gru and lstm see the vector: repeat (as the input of each step) or state (as the initial state).
        dense: whether a conv1d ends in a linear map of the whole series.
    """
    kind = pick("decoder", net, shape)
    if kind == "gnn":
        assert isinstance(shape, Packed)
        return GraphDecoder(inputs, shape, hidden, activation, norm)
    if kind == "mlp":
        return MLP((inputs,), shape, hidden, activation, norm)
    if kind == "dcgan":
        return DCGANDecoder(inputs, shape, width, activation, norm)
    if kind == "conv1d":
        return Conv1dDecoder(inputs, shape, width, layers, activation, norm, dense)
    choose("norm", norm, ("auto", "none"))
    if kind in CELLS:
        return RecurrentDecoder(inputs, shape, kind, width, 1 if layers is None else layers, code)
    return TransformerDecoder(inputs, shape, width, 2 if layers is None else layers)


def encoder(
    shape: Sequence[int],
    outputs: Sequence[int] = (),
    net: str = "auto",
    hidden: Sequence[int] = (128, 128),
    width: int = 64,
    activation: str = "leaky_relu",
    norm: str = "auto",
    spectral: bool = False,
    layers: int | None = None,
) -> nn.Module:
    """Builds a net from samples (B, *shape) to vectors (B, *outputs), or to numbers (B,) for outputs ().

    For graphs, outputs (K, N) are K numbers for each node.

    Takes the options of `decoder` but `code` and `dense`, one more net, and one more option.

    Args:
        net: auto, mlp, dcgan (images), conv1d, tcn, gru, lstm, transformer (series) or gnn (graphs).
        spectral: spectral normalization of every layer; it replaces another norm, so `norm: auto` is then none.
        layers: of a net for series, as for `decoder`; None: a tcn's last step sees the whole series.
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
    elif kind == "dcgan":
        module = DCGANEncoder(shape, outputs, width, activation, norm)
    elif kind == "conv1d":
        module = Conv1dEncoder(shape, outputs, width, layers, activation, norm)
    elif kind == "tcn":
        module = TCN(shape, outputs, width, layers, activation, norm)
    else:
        choose("norm", norm, ("auto", "none"))
        if kind in CELLS:
            module = RecurrentEncoder(shape, outputs, kind, width, 1 if layers is None else layers)
        else:
            module = TransformerEncoder(shape, outputs, width, 2 if layers is None else layers)
    return spectral_norm(module) if spectral else module
