"""Graphs packed as vectors: the channels of the nodes, then those of the pairs of nodes i < j.

A vector of independent normal numbers is then a symmetric graph of noise, and nothing is stored twice. Channels come
first, so that a field of K channels is a block (K, N) of nodes or (K, M) of pairs, M = N (N - 1) / 2. Graphs have up to
N nodes: the first channel of each node says whether it is there (`present`), and all else about absent nodes is 0.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Packed(tuple[int, ...]):
    """The shape (P,) of a packed graph, P = N Cn + M Ce, which knows its parts.

    Args:
        nodes: N, the largest number of nodes.
        node_channels, edge_channels: Cn and Ce, numbers of a node and of a pair.
    """

    nodes: int
    node_channels: int
    edge_channels: int

    def __new__(cls, nodes: int, node_channels: int, edge_channels: int) -> "Packed":
        pairs = nodes * (nodes - 1) // 2
        shape = super().__new__(cls, (nodes * node_channels + pairs * edge_channels,))
        shape.nodes, shape.node_channels, shape.edge_channels = nodes, node_channels, edge_channels
        return shape

    def __getnewargs__(self) -> tuple[int, int, int]:  # type: ignore[override]
        return self.nodes, self.node_channels, self.edge_channels

    @property
    def pairs(self) -> int:
        """M, the number of pairs of nodes."""
        return self.nodes * (self.nodes - 1) // 2


class KnownGraphs(NamedTuple):
    """A known distribution of graphs: one graph of each isomorphism class, and the probability of the class."""

    x: Tensor  # (K, P) packed, in data units
    shares: Tensor  # (K,)


class Parts(NamedTuple):
    """A batch of graphs, unpacked."""

    nodes: Tensor  # (B, N, Cn)
    edges: Tensor  # (B, N, N, Ce), symmetric, 0 on the diagonal


def unpack(x: Tensor, shape: Packed) -> Parts:
    """Unpacks graphs: (B, P) -> nodes (B, N, Cn) and edges (B, N, N, Ce)."""
    split = shape.nodes * shape.node_channels
    nodes = x[:, :split].unflatten(1, (shape.node_channels, shape.nodes)).transpose(1, 2)
    flat = x[:, split:].unflatten(1, (shape.edge_channels, shape.pairs)).transpose(1, 2)
    i, j = torch.triu_indices(shape.nodes, shape.nodes, 1, device=x.device)
    edges = x.new_zeros(len(x), shape.nodes, shape.nodes, shape.edge_channels)
    edges[:, i, j] = flat
    edges[:, j, i] = flat
    return Parts(nodes, edges)


def pack(nodes: Tensor, edges: Tensor) -> Tensor:
    """Packs graphs, of whose edges the upper triangle counts: (B, N, Cn), (B, N, N, Ce) -> (B, P)."""
    i, j = torch.triu_indices(edges.shape[1], edges.shape[1], 1, device=edges.device)
    return torch.cat([nodes.transpose(1, 2).flatten(1), edges[:, i, j].transpose(1, 2).flatten(1)], dim=1)


def presence(here: Tensor, shape: Packed) -> Tensor:
    """Returns 1 for each number of a node or pair that is there, 0 for others: present nodes (B, N) -> (B, P)."""
    i, j = torch.triu_indices(shape.nodes, shape.nodes, 1, device=here.device)
    pairs = here[:, i] * here[:, j]
    return torch.cat([here.repeat(1, shape.node_channels), pairs.repeat(1, shape.edge_channels)], dim=1)
