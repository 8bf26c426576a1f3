"""Erdős-Rényi graphs, which have the sizes and the densities of real graphs and no structure: the column "noise"."""

import torch
from torch import Tensor

from genlab.data.packed import Packed, pack, presence, unpack
from genlab.data.spec import Spec
from genlab.metrics.graphs.batch import CHUNK, links


def erdos_renyi(spec: Spec, train: Tensor, n: int, seed: int = 0) -> Tensor:
    """Draws n graphs, each with the size of a random training graph and every pair an edge with that graph's density.

    What else is said about nodes, about edges and about pairs without one is taken from random ones in training.

    Args:
        train: (G, P) packed training graphs in data units; the result (n, P) is like them.

    P. Erdős, A. Rényi, "On Random Graphs I", 1959.
    """
    g = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(train), (n,), generator=g).to(train.device)
    return torch.cat([_shuffled(spec, train[part].cpu(), g).to(train) for part in chosen.split(CHUNK)])


def _shuffled(spec: Spec, chosen: Tensor, g: torch.Generator) -> Tensor:
    """Draws a random graph for each of some real ones, (B, P), from whose nodes and pairs it takes the rest."""
    shape, n = spec.shape, len(chosen)
    assert isinstance(shape, Packed)
    here = spec.presence(chosen)
    there = torch.ones_like(chosen) if here is None else here
    nodes, edges = unpack(chosen, shape)
    node_there, pair_there = (part.any(-1) for part in unpack(there, shape))
    if shape.node_channels == 0:
        node_there = torch.ones(n, shape.nodes, dtype=torch.bool)
    if nodes[node_there].shape[1]:
        pool = nodes[node_there]
        nodes = torch.where(node_there[..., None], _drawn(pool, node_there.shape, g), nodes)
    if edges.shape[-1]:
        linked = _linked(spec, edges) & pair_there
        density = linked.sum((1, 2)) / pair_there.sum((1, 2)).clamp(min=1)
        new = torch.rand(n, shape.nodes, shape.nodes, generator=g) < density[:, None, None]
        own, other = edges[linked], edges[pair_there & ~linked]
        blank = edges.new_zeros(1, edges.shape[-1])
        yes, no = (_drawn(pool if len(pool) else blank, new.shape, g) for pool in (own, other))
        edges = torch.where(new[..., None], yes, no)
    result = pack(nodes, edges)
    flags = presence(node_there.to(result), shape)
    return result * flags


def _linked(spec: Spec, edges: Tensor) -> Tensor:
    """Which pairs are edges, (B, N, N), by the channels of pairs (B, N, N, C)."""
    field, start = links(spec), 0
    for other in spec.fields:
        if other is field:
            return edges[..., start : start + other.size].argmax(-1) > 0
        start += other.size if other.part == "edge" else 0
    return torch.zeros(edges.shape[:3], dtype=torch.bool)


def _drawn(pool: Tensor, shape: torch.Size, g: torch.Generator) -> Tensor:
    """Rows of pool (K, C) for each place of `shape`, drawn at random: (*shape, C)."""
    return pool[torch.randint(len(pool), tuple(shape), generator=g)]
