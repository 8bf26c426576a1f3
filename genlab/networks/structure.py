"""What message passing cannot see of a graph, computed from its adjacency matrix: cycles and random walks.

    nodes   cycles of 3, 4 and 5 nodes through each, and the chance to be back after k steps, k = 2, ..., WALK
    pairs   the weight of walks of k steps from i to j, (D^-½ A D^-½)^k
    graph   the number of cycles of 3, 4 and 5 nodes

Numbers of cycles follow from powers of A (F. Harary, B. Manvel, "On the number of cycles in a graph", 1971). They are
the extra features of C. Vignac et al., "DiGress: Discrete Denoising Diffusion for Graph Generation", 2023,
https://arxiv.org/abs/2209.14734 (appendix B.1). In place of its spectral features stand walks, which are smooth, have
no sign to choose and tell components apart: a pair that no walk joins is not connected (L. Ma et al., "Graph Inductive
Biases in Transformers without Message Passing", 2023, https://arxiv.org/abs/2305.17589).
"""

from typing import NamedTuple

import torch
from torch import Tensor

WALK = 8  # the longest walk
CYCLES = 3  # kinds of cycles
OF_NODES, OF_PAIRS, OF_GRAPH = CYCLES + WALK - 1, WALK, CYCLES  # numbers of features


class Structure(NamedTuple):
    """Features of a batch of graphs."""

    nodes: Tensor  # (B, N, OF_NODES)
    pairs: Tensor  # (B, OF_PAIRS, N, N)
    graph: Tensor  # (B, OF_GRAPH)


def cycles(a: Tensor) -> Tensor:
    """Counts the cycles of 3, 4 and 5 nodes through each node, from adjacency (B, N, N): (B, N, 3)."""
    square = a @ a
    cube = square @ a
    degree = a.sum(2)
    triangles = cube.diagonal(dim1=1, dim2=2)  # closed walks of three steps, two for each triangle
    over = torch.stack([degree, triangles], dim=2)
    of_neighbours = a @ over
    # Closed walks of four steps, without those that turn back; A² is symmetric.
    four = (square * square).sum(2) - degree * (degree - 1) - of_neighbours[..., 0]
    # Closed walks of five steps, without those around a triangle that detour at one of its corners.
    detours = 2 * triangles * degree + of_neighbours[..., 1] - 5 * triangles + 2 * (a * square @ over)[..., 0]
    return 0.5 * torch.stack([triangles, four, (square * cube).sum(2) - detours], dim=2)


def structure(a: Tensor) -> Structure:
    """Computes the features from adjacency (B, N, N), symmetric with entries in [0, 1]; counts as log(1 + count)."""
    through = cycles(a)
    root = a.sum(2).clamp(min=1e-6).rsqrt() * (a.sum(2) > 0)
    step = root[:, :, None] * a * root[:, None]
    walks = [step]
    for _ in range(WALK - 1):
        walks.append(walks[-1] @ step)
    walk = torch.stack(walks, dim=1)  # (B, WALK, N, N)
    back = walk[:, 1:].diagonal(dim1=2, dim2=3).transpose(1, 2)
    kinds = torch.arange(3, 6, device=a.device, dtype=a.dtype)
    nodes = torch.cat([through.clamp(min=0).log1p(), back], dim=2)
    return Structure(nodes, walk, (through.sum(1) / kinds).clamp(min=0).log1p())
