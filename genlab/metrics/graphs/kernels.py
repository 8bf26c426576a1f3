"""Maximum mean discrepancy between two sets of graphs, with the kernels of two families of papers.

    MMD² = mean k(x, x') + mean k(y, y') - 2 mean k(x, y)          over all pairs, those of a graph with itself included

    GraphRNN, GDSS      exp(-EMD² / 2σ²), EMD the earth mover's distance of two histograms, in bins for degrees and the
                        spectrum (σ = 1), in units of the coefficient for clustering (σ = 0.1); orbits: exp(-|x - y|² /
                        2σ²), σ = 30
    SPECTRE, DiGress    exp(-TV² / 2σ²), TV = ½ Σ_b |x_b - y_b|, with the same σ, also for orbits

J. You, R. Ying, X. Ren, W. Hamilton, J. Leskovec, "GraphRNN: Generating Realistic Graphs with Deep Auto-regressive
Models", 2018, https://arxiv.org/abs/1802.08773; J. Jo, S. Lee, S. J. Hwang, "Score-based Generative Modeling of Graphs
via the System of Stochastic Differential Equations", 2022, https://arxiv.org/abs/2202.02514; K. Martinkus, A. Loukas,
N. Perraudin, R. Wattenhofer, "SPECTRE: Spectral Conditioning Helps to Overcome the Expressivity Limits of One-shot
Graph Generators", 2022, https://arxiv.org/abs/2204.01613; C. Vignac et al., "DiGress: Discrete Denoising Diffusion for
Graph Generation", 2023, https://arxiv.org/abs/2209.14734. The spectrum is that of R. Liao et al., "Efficient Graph
Generation with Graph Recurrent Attention Networks", 2019, https://arxiv.org/abs/1910.00760.

The estimate is biased: two sets of n and m graphs of one distribution have (1 - k̄)(1 / n + 1 / m) on average, where k̄
is the mean kernel of two different graphs (`chance`). So a value means something only beside that of real graphs at the
same numbers. With EMD the kernel need not be positive definite, so that a value may even fall below 0, and a single
descriptor can be blind to what another one sees: L. O'Bray, M. Horn, B. Rieck, K. Borgwardt, "Evaluation Metrics for
Graph Generative Models: Problems, Pitfalls, and Practical Solutions", 2022, https://arxiv.org/abs/2106.01098.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from genlab.metrics.graphs.descriptors import CLUSTERING_BINS, Descriptors

Statistic = Literal["degree", "clustering", "orbit", "spectrum"]
Variant = Literal["emd", "tv"]
Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (G, B), (H, B) -> (G, H)
STATISTICS: tuple[Statistic, ...] = ("degree", "clustering", "orbit", "spectrum")
VARIANTS: dict[Variant, str] = {"emd": "_mmd", "tv": "_mmd_tv"}  # and how the names of their measures end
SIGMA: dict[Statistic, float] = {"degree": 1.0, "clustering": 0.1, "orbit": 30.0, "spectrum": 1.0}


def earth_mover(x: np.ndarray, y: np.ndarray, bin_width: float = 1.0) -> np.ndarray:
    """The earth mover's distance of histograms (G, B) and (H, B) on a line of bins: (G, H).

    On a line it is the area between the two distribution functions.
    """
    from scipy.spatial.distance import cdist

    return cdist(x.cumsum(1), y.cumsum(1), "cityblock") * bin_width


def total_variation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """½ Σ |x - y| of the rows of (G, B) and (H, B): (G, H)."""
    from scipy.spatial.distance import cdist

    return cdist(x, y, "cityblock") / 2


def euclidean(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|x - y| of the rows of (G, B) and (H, B): (G, H)."""
    from scipy.spatial.distance import cdist

    return cdist(x, y, "euclidean")


def kernel(statistic: Statistic, variant: Variant) -> Kernel:
    """The kernel of a statistic: "emd" as in GraphRNN and GDSS, "tv" as in SPECTRE and DiGress."""
    sigma = SIGMA[statistic]

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if variant == "tv":
            return total_variation(x, y)
        if statistic == "orbit":
            return euclidean(x, y)
        return earth_mover(x, y, 1 / CLUSTERING_BINS if statistic == "clustering" else 1.0)

    return lambda x, y: np.exp(-(distance(x, y) ** 2) / (2 * sigma**2))


def mmd(x: Descriptors, y: Descriptors, statistic: Statistic, variant: Variant) -> float:
    """The biased estimate of MMD² of one statistic between two sets of graphs.

    Raises:
        ValueError: one of them has no graph with a node.
    """
    if not (len(x) and len(y)):
        raise ValueError("needs graphs with nodes on each side")
    a, b = getattr(x, statistic), getattr(y, statistic)
    width = max(a.shape[1], b.shape[1])
    a, b = (np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in (a, b))
    k = kernel(statistic, variant)
    return float(k(a, a).mean() + k(b, b).mean() - 2 * k(a, b).mean())


def chance(x: Descriptors, statistic: Statistic, variant: Variant) -> float:
    """1 - k̄, over pairs of different graphs: two sets of n graphs each have an MMD² of 2 (1 - k̄) / n by chance.

    Raises:
        ValueError: fewer than two graphs.
    """
    n = len(x)
    if n < 2:
        raise ValueError("needs two graphs at least")
    values = getattr(x, statistic)
    return float(1 - (kernel(statistic, variant)(values, values).sum() - n) / (n * (n - 1)))
