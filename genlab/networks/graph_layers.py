"""What nets for graphs share: reading packed graphs, pairs of nodes, and a layer of message passing.

A net for graphs is equivariant: whoever permutes the nodes of its input permutes its output in the same way, and an
invariant net does not notice. Only what is the same function of every node and pair, and sums over them, may be used.

Pairs i < j are kept once, (B, M, C) with M = N (N - 1) / 2, which halves the cost of everything that edges pass
through and keeps them symmetric. Up to 64 nodes, dense tensors are as fast as sparse ones. Sums over the nodes of a
pair, and over the pairs of a node, are products with a matrix of zeros and ones, since scattered additions would come
in another order each time on a GPU.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genlab.data.packed import Packed


class Graph(NamedTuple):
    """A batch of packed graphs as a net reads it."""

    here: Tensor  # (B, N, 1), 1 for nodes that are there
    there: Tensor  # (B, M, 1), 1 for pairs of such nodes
    nodes: Tensor  # (B, N, Cn - 1), all but whether a node is there
    edges: Tensor  # (B, M, Ce)
    size: Tensor  # (B, 1), the share of the N places that are taken


class Pairs(nn.Module):
    """The pairs i < j of N nodes, in the order of packed graphs."""

    ends: Tensor
    square: Tensor
    upper: Tensor
    other: Tensor

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.nodes = nodes
        i, j = torch.triu_indices(nodes, nodes, 1)
        pair = torch.arange(len(i))
        ends = torch.zeros(len(i), nodes)
        ends[pair, i] = ends[pair, j] = 1.0
        square = torch.zeros(nodes, nodes, dtype=torch.int64)
        square[i, j] = square[j, i] = pair
        self.register_buffer("ends", ends, persistent=False)  # (M, N), 1 for the two nodes of a pair
        self.register_buffer("square", square.flatten(), persistent=False)  # the pair of each (i, j)
        self.register_buffer("upper", i * nodes + j, persistent=False)  # where the pairs lie in (N, N)
        self.register_buffer("other", 1 - torch.eye(nodes)[..., None], persistent=False)  # (N, N, 1), 0 on the diagonal

    def of_nodes(self, h: Tensor, plus: Tensor) -> Tensor:
        """Returns h_i + h_j + `plus`: (B, N, C), (B, M, C) -> (B, M, C)."""
        return torch.baddbmm(plus, self.ends.to(h).expand(len(h), -1, -1), h)

    def products(self, h: Tensor) -> Tensor:
        """Returns h_i h_j: (B, N, C) -> (B, M, C)."""
        ends = self.ends.to(h).expand(len(h), -1, -1)
        return 0.5 * (torch.bmm(ends, h).square() - torch.bmm(ends, h.square()))

    def at_nodes(self, e: Tensor) -> Tensor:
        """Returns the sum of the pairs of each node over N: (B, M, C) -> (B, N, C)."""
        return torch.bmm(self.ends.to(e).mT.expand(len(e), -1, -1), e) / self.nodes

    def squared(self, e: Tensor) -> Tensor:
        """Returns pairs as symmetric matrices, 0 on the diagonal: (B, M, C) -> (B, N, N, C)."""
        full = e.index_select(1, self.square).unflatten(1, (self.nodes, self.nodes))
        return full * self.other.to(e)

    def of_square(self, full: Tensor) -> Tensor:
        """Returns the upper triangles of matrices: (B, C, N, N) -> (B, M, C)."""
        return full.flatten(2).index_select(2, self.upper).transpose(1, 2)

    def read(self, x: Tensor, shape: Packed) -> Graph:
        """Reads packed graphs (B, P), whose first node channel says which nodes are there.

        No gradient passes through that channel, and numbers of nodes that are not there have no influence.
        """
        split = shape.nodes * shape.node_channels
        flat = x[:, :split].unflatten(1, (shape.node_channels, shape.nodes)).transpose(1, 2)
        here = (flat[..., :1] > 0.5).to(x.dtype)
        there = self.present(here)
        edges = x[:, split:].unflatten(1, (shape.edge_channels, shape.pairs)).transpose(1, 2)
        return Graph(here, there, flat[..., 1:] * here, edges * there, here.mean(1))

    def present(self, here: Tensor) -> Tensor:
        """Returns 1 for pairs of nodes that are there, 0 for others: (B, N, 1) -> (B, M, 1)."""
        return (torch.bmm(self.ends.to(here).expand(len(here), -1, -1), here) > 1.5).to(here.dtype)


def packed(nodes: Tensor, edges: Tensor) -> Tensor:
    """Packs what a net returns: (B, N, Cn), (B, M, Ce) -> (B, P)."""
    return torch.cat([nodes.transpose(1, 2).flatten(1), edges.transpose(1, 2).flatten(1)], dim=1)


def linear(inputs: int, outputs: int) -> nn.Module:
    """Returns a linear layer, or a module that returns zeros if there are no inputs or no outputs.

    Nodes need not have anything but whether they are there, and sets of nodes have no edges.
    """
    return nn.Linear(inputs, outputs) if inputs and outputs else Nothing(outputs)


class Nothing(nn.Module):
    """Zeros: (..., inputs) -> (..., outputs)."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(*x.shape[:-1], self.outputs)


def head(inputs: int, outputs: int) -> nn.Module:
    """Returns the last layers of a denoiser, whose output is 0 at first; zeros alone if there are no outputs."""
    if not outputs:
        return Nothing(outputs)
    last = nn.Linear(inputs, outputs)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(nn.LayerNorm(inputs), nn.SiLU(), last)


class GraphLayer(nn.Module):
    """Message passing between all pairs of nodes, with the edges as part of the state.

        m_ij = a(A (h_i + h_j) + W e_ij)          e_ij <- e_ij + m_ij
        h_i <- a(U h_i + V 1/N Σ_j m_ij)           plus h_i, if the width stays

    J. Gilmer et al., "Neural Message Passing for Quantum Chemistry", 2017, https://arxiv.org/abs/1704.01212 (with the
    edges of section 3 as well).

    Args:
        pairs: of the graphs.
        inputs, outputs: widths of the nodes before and after.
        edges: width of the edges.
        activation: a, builds the activation.
        norm: whether to apply layer norm to nodes and messages before a.
    """

    def __init__(
        self, pairs: Pairs, inputs: int, outputs: int, edges: int, activation: Callable[[], nn.Module], norm: bool
    ) -> None:
        super().__init__()
        self.pairs, self.residual = pairs, inputs == outputs
        self.ends, self.edge = nn.Linear(inputs, edges, bias=False), nn.Linear(edges, edges)
        self.own, self.gathered = nn.Linear(inputs, outputs), nn.Linear(edges, outputs, bias=False)
        self.activation = activation()
        self.norms = nn.ModuleList(nn.LayerNorm(width) if norm else nn.Identity() for width in (edges, outputs))

    def forward(self, h: Tensor, e: Tensor, here: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Maps nodes (B, N, inputs) and edges (B, M, edges) to (B, N, outputs) and (B, M, edges)."""
        message = self.activation(self.norms[0](self.pairs.of_nodes(self.ends(h), self.edge(e)))) * there
        new = self.own(h) + self.gathered(self.pairs.at_nodes(message))
        new = self.activation(self.norms[1](new)) * here
        return h + new if self.residual else new, e + message
