"""Message passing nets for graphs: an encoder to codes of nodes or to one vector, and a decoder from codes of nodes.

The encoder returns a code for each node, equivariant, or sums over the nodes and edges, an invariant function of the
graph: the critic of N. De Cao, T. Kipf, "MolGAN: An Implicit Generative Model for Small Molecular Graphs", 2018,
https://arxiv.org/abs/1805.11973. The decoder maps a code of each node to a graph, as in T. Kipf, M. Welling,
"Variational Graph Auto-Encoders", 2016, https://arxiv.org/abs/1611.07308, where an edge depends on the product of its
nodes' codes; here it starts from that and takes part in message passing. As the codes of an encoder keep the order of
the nodes, its reconstructions can be compared node by node and need no matching of graphs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genlab.data.packed import Packed
from genlab.errors import OptionError, choose
from genlab.networks.activation import ACTIVATIONS
from genlab.networks.graph_layers import GraphLayer, Pairs, linear, packed

NORMS = ("auto", "none", "layer")
LEAST = 16  # channels of an edge


def layers(
    pairs: Pairs, inputs: int, hidden: Sequence[int], edges: int, activation: str, norm: str
) -> tuple[nn.ModuleList, int]:
    """Returns layers of these widths, and the width of the last nodes."""
    widths = [inputs, *hidden]
    built = (
        GraphLayer(pairs, before, after, edges, ACTIVATIONS[activation], norm != "none")
        for before, after in zip(widths[:-1], hidden, strict=True)
    )
    return nn.ModuleList(built), widths[-1]


def check(hidden: Sequence[int], activation: str, norm: str) -> int:
    """Checks the options of a net, and returns the width of its edges: a quarter of the nodes', 16 or more.

    Raises:
        OptionError: an option is out of its range, or does not apply to graphs.
    """
    choose("activation", activation, ACTIVATIONS)
    if norm in ("batch", "post_batch"):
        raise OptionError("norm", f"{norm} does not apply to graphs, whose sizes differ; use none or layer")
    choose("norm", norm, NORMS)
    if not hidden:
        raise OptionError("hidden", "a gnn needs at least one layer")
    return max(LEAST, hidden[0] // 4)


class GraphEncoder(nn.Module):
    """Message passing from packed graphs to codes of nodes (B, K, N), or to vectors of whole graphs.

    Args:
        shape: of one packed graph; the first node channel says which nodes are there.
        outputs: (K, N): K numbers for each node, 0 for nodes that are not there; or (K,) or (): of the whole graph.
        hidden: widths of the nodes after each layer.
        activation: relu, leaky_relu, silu, gelu, elu or tanh.
        norm: auto (layer), none or layer. Without it, a VAE of small graphs ignored its codes.
    """

    def __init__(
        self,
        shape: Packed,
        outputs: Sequence[int] = (),
        hidden: Sequence[int] = (128, 128),
        activation: str = "leaky_relu",
        norm: str = "auto",
    ) -> None:
        super().__init__()
        edges = check(hidden, activation, norm)
        self.shape, self.outputs = shape, tuple(outputs)
        self.pairs = Pairs(shape.nodes)
        self.nodes, self.size = linear(shape.node_channels - 1, hidden[0]), nn.Linear(1, hidden[0])
        self.edges = linear(shape.edge_channels, edges)
        self.layers, width = layers(self.pairs, hidden[0], hidden, edges, activation, norm)
        if len(self.outputs) == 2:
            self.last = nn.Linear(width, outputs[0])
            return
        self.pooled = nn.Sequential(nn.Linear(2 * (width + edges) + 1, width), ACTIVATIONS[activation]())
        self.last = nn.Linear(width, outputs[0] if outputs else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps packed graphs (B, P) to (B, *outputs)."""
        if len(self.outputs) < 2:
            return self.last(self.features(x)).view(len(x), *self.outputs)
        h, _, here, _, _ = self.states(x)
        return (self.last(h) * here).transpose(1, 2)

    def features(self, x: Tensor) -> Tensor:
        """Returns the input of the last layer of an invariant net: (B, P) -> (B, hidden[-1])."""
        h, e, here, there, size = self.states(x)
        # Sums tell how much of something there is, means what share.
        parts = [h.sum(1) / self.shape.nodes, e.sum(1) / max(1, self.shape.pairs)]
        parts += [h.sum(1) / here.sum(1).clamp(min=1), e.sum(1) / there.sum(1).clamp(min=1)]
        return self.pooled(torch.cat([*parts, size], dim=1))

    def states(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Returns nodes (B, N, C) and edges (B, M, E) after the layers, what is there, and the share of places."""
        here, there, nodes, edges, size = self.pairs.read(x, self.shape)
        h, e = (self.nodes(nodes) + self.size(size)[:, None]) * here, self.edges(edges) * there
        for layer in self.layers:
            h, e = layer(h, e, here, there)
        return h, e, here, there, size


class GraphDecoder(nn.Module):
    """Message passing from codes of nodes to packed graphs.

    Args:
        inputs: (K + 1) N: K numbers for each node, channels first, then N flags of which nodes are there.
        shape: of one packed graph, without the flags.
        hidden, activation, norm: see `GraphEncoder`.

    Raises:
        OptionError: there are no K numbers for each node.
    """

    def __init__(
        self,
        inputs: int,
        shape: Packed,
        hidden: Sequence[int] = (128, 128),
        activation: str = "relu",
        norm: str = "auto",
    ) -> None:
        super().__init__()
        edges = check(hidden, activation, norm)
        if inputs % shape.nodes or inputs < 2 * shape.nodes:
            message = f"a gnn decodes as many numbers for each of {shape.nodes} nodes and whether it is there"
            raise OptionError("net", f"{message}, not {inputs} numbers")
        self.shape, self.channels = shape, inputs // shape.nodes
        self.pairs = Pairs(shape.nodes)
        self.first = nn.Linear(self.channels, hidden[0])
        self.products = nn.Linear(hidden[0], edges, bias=False)
        self.joint = nn.Linear(edges, edges)
        self.layers, width = layers(self.pairs, hidden[0], hidden, edges, activation, norm)
        self.activation = ACTIVATIONS[activation]()
        self.ends = nn.Linear(width, edges, bias=False) if shape.edge_channels else None
        self.last = nn.ModuleList([linear(width, shape.node_channels), linear(edges, shape.edge_channels)])

    def forward(self, z: Tensor) -> Tensor:
        """Maps codes and flags (B, (K + 1) N) to packed graphs (B, P); 0 for what is not there."""
        codes = z.unflatten(1, (self.channels, self.shape.nodes)).transpose(1, 2)
        here = (codes[..., -1:] > 0.5).to(z.dtype)
        there = self.pairs.present(here)
        size = here.mean(1, keepdim=True).expand_as(here)
        h = self.first(torch.cat([codes[..., :-1] * here, size], dim=2)) * here
        e = self.joint(self.pairs.products(self.products(h))) * there
        for layer in self.layers:
            h, e = layer(h, e, here, there)
        if self.ends is not None:
            e = self.pairs.of_nodes(self.ends(h), e)
        return packed(self.last[0](self.activation(h)) * here, self.last[1](self.activation(e)) * there)
