"""A transformer on graphs whose attention sees the edges, conditioned on time: (x, t, y) -> (B, P), equivariant.

    s_ij = q_i k_j / √d                                                                 for each head
    h_i  <- h_i + W [Σ_j softmax_j(s_ij (1 + a(e_ij)) + b(e_ij)) (1 + c(e_ij)) v_j,  1/N Σ_j e_ij]
    h_i  <- h_i + mlp(h_i)
    e_ij <- e_ij + V silu(U e_ij + P (h_i + h_j) + R (s_ij + s_ji))

a, b and c are linear and give a number for each head. Before each step, nodes and edges are normalised, scaled and
shifted by functions of the time, the class and the number of nodes (FiLM). Nodes that are not there are left out of all
sums.

V. P. Dwivedi, X. Bresson, "A Generalization of Transformer Networks to Graphs", 2021, https://arxiv.org/abs/2012.09699.
C. Vignac et al., "DiGress: Discrete Denoising Diffusion for Graph Generation", 2023, https://arxiv.org/abs/2209.14734
(appendix B.1: edges modulate attention, FiLM). Here edges scale scores and values by a number for each head and not for
each channel, and each pair is kept once.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.data.packed import Packed
from genlab.errors import OptionError
from genlab.networks.graph_layers import Pairs, head, linear, packed
from genlab.networks.structure import OF_GRAPH, OF_NODES, OF_PAIRS, structure
from genlab.networks.timed_mlp import TimeEmbedding

HEAD = 8  # channels of a head


class EdgeTransformer(nn.Module):
    """Transformer on dense graphs of up to some 64 nodes, whose output is 0 at first.

    Args:
        shape: of one packed graph; the first node channel says which nodes are there.
        classes: number of classes, 0 for none.
        width: channels of a node, a multiple of 8; edges have half as many.
        blocks: blocks of attention.
        dropout: share of a block's hidden units set to 0.
        structure: whether the net sees numbers of cycles and random walks, see `structure`. The first channel of an
            edge must then stand for "no edge".

    Raises:
        OptionError: the width does not fit, or there are no edges for `structure`.
    """

    def __init__(
        self,
        shape: Packed,
        classes: int = 0,
        width: int = 32,
        blocks: int = 3,
        dropout: float = 0.0,
        structure: bool = False,
    ) -> None:
        super().__init__()
        if width < HEAD or width % HEAD:
            raise OptionError("width", f"must be a multiple of {HEAD}, the channels of a head, got {width}")
        if structure and not shape.edge_channels:
            raise OptionError("structure", "these graphs have no edges; set it to false")
        self.shape, self.structure, edges = shape, structure, width // 2
        self.pairs = Pairs(shape.nodes)
        self.embedding = TimeEmbedding(width, classes)
        more = (OF_NODES, OF_PAIRS, OF_GRAPH) if structure else (0, 0, 0)
        self.whole = nn.Linear(1 + more[2], self.embedding.size)
        self.first = nn.ModuleList(
            [linear(shape.node_channels - 1 + more[0], width), linear(shape.edge_channels + more[1], edges)]
        )
        # Without edges in the output, the last block would update them in vain.
        updates = [True] * (blocks - 1) + [bool(shape.edge_channels)]
        size = self.embedding.size
        self.blocks = nn.ModuleList(Block(self.pairs, width, edges, size, dropout, update) for update in updates)
        self.last = nn.ModuleList([head(width, shape.node_channels - 1), head(edges, shape.edge_channels)])

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Maps packed graphs (B, P), times in [0, 1] (B,) and labels (B,) to (B, P); 0 for what is not there."""
        here, there, nodes, edges, size = self.pairs.read(x, self.shape)
        if self.structure:
            with torch.autocast(x.device.type, enabled=False):  # numbers of cycles are large
                linked = self.pairs.squared(((1 - edges[..., :1]) * there).clamp(0, 1))[..., 0]
                found = structure(linked)
                nodes = torch.cat([nodes, found.nodes], dim=2)
                edges = torch.cat([edges, self.pairs.of_square(found.pairs)], dim=2)
                size = torch.cat([size, found.graph], dim=1)
        embedded = F.silu(self.embedding(t, y) + self.whole(size))
        h, e = self.first[0](nodes) * here, self.first[1](edges) * there
        absent = (here == 0)[:, None, None, :, 0]  # (B, 1, 1, N)
        for block in self.blocks:
            h, e = block(h, e, embedded, absent, here, there)
        # The channel that says which nodes are there stays 0.
        return packed(F.pad(self.last[0](h) * here, (1, 0)), self.last[1](e) * there)


class Block(nn.Module):
    """Attention, a small net for each node, and unless it is off an update of the edges, each with a residual."""

    def __init__(self, pairs: Pairs, width: int, edges: int, size: int, dropout: float, update: bool = True) -> None:
        super().__init__()
        self.pairs, self.heads, hidden = pairs, width // HEAD, 2 * edges
        self.widths = [width, width, edges, edges, width, width]
        self.film = nn.Linear(size, sum(self.widths))
        self.queries = nn.Linear(width, 3 * width)
        self.modulation = nn.Linear(edges, 3 * self.heads)
        self.merge = nn.Linear(width + edges, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.update = update
        if not update:
            return
        self.own, self.ends = nn.Linear(edges, hidden), nn.Linear(width, hidden, bias=False)
        self.scores = nn.Linear(self.heads, hidden, bias=False)
        self.edge = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), nn.Linear(hidden, edges))

    def forward(
        self, h: Tensor, e: Tensor, embedded: Tensor, absent: Tensor, here: Tensor, there: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Maps (B, N, width), (B, M, edges) to the same shapes; `absent` (B, 1, 1, N) are keys to leave out."""
        films = self.film(embedded)[:, None].split(self.widths, dim=2)
        edges = filmed(e, *films[2:4]) * there
        new, scores = self.attend(filmed(h, *films[:2]), edges, absent)
        h = h + new * here
        h = h + self.mlp(filmed(h, *films[4:])) * here
        if not self.update:
            return h, e
        symmetric = self.pairs.of_square(scores + scores.mT)
        return h, e + self.edge(self.pairs.of_nodes(self.ends(h), self.own(edges) + self.scores(symmetric))) * there

    def attend(self, h: Tensor, edges: Tensor, absent: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what attention adds to nodes, (B, N, width), and the scores q_i k_j / √d, (B, heads, N, N)."""
        query, key, value = self.queries(h).unflatten(2, (3, self.heads, HEAD)).permute(2, 0, 3, 1, 4)
        scores = query @ key.mT * HEAD**-0.5
        scale, shift, gate = self.pairs.squared(self.modulation(edges)).permute(0, 3, 1, 2).chunk(3, dim=1)
        logits = (scores * (1 + scale) + shift).masked_fill(absent, torch.finfo(scores.dtype).min)
        taken = (logits.softmax(3) * (1 + gate)) @ value  # (B, heads, N, HEAD)
        return self.merge(torch.cat([taken.transpose(1, 2).flatten(2), self.pairs.at_nodes(edges)], dim=2)), scores


def filmed(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalises over the channels, scales and shifts: (B, L, C), 2 x (B, 1, C) -> (B, L, C)."""
    return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift
