"""From the log-likelihood of single samples, in nats, to the figures that are reported.

    NLL       = -E log q(x)                                   nats
    excess    = E [log p(x) - log q(x)] -> KL(p || q) >= 0    nats, p the exact density of the data
    bits/dim  = -(E log q(x) + D log w) / (D log 2)           w the width of a pixel where q is a density

The entropy of p is the floor of every NLL. The excess over it is taken sample by sample: the scatter of log p(x), most
of the error of the NLL, cancels.

A density of images has values per volume, and becomes the probability of 8-bit pixels only with the width w of one:

    1/256    the unit cube with dequantized pixels (k + u) / 256: bits/dim = NLL / (D log 2) + 8
    1        log q is the log-probability of whole pixel values already (a diffusion model's variational bound)

L. Theis, A. van den Oord, M. Bethge, "A Note on the Evaluation of Generative Models", 2016,
https://arxiv.org/abs/1511.01844, section 3.1.
"""

import math
from typing import NamedTuple

from torch import Tensor

from genlab.metrics.measure import Measure


class Mean(NamedTuple):
    value: float
    error: float  # standard error of the value, from the scatter of the samples alone


def mean(values: Tensor) -> Mean:
    """Mean of (N,) values, and its standard error s/√N (NaN for one value)."""
    values = values.double()
    error = (values.std() / math.sqrt(len(values))).item() if len(values) > 1 else math.nan
    return Mean(values.mean().item(), error)


def negative_log_likelihood(log_q: Tensor) -> Mean:
    """-E log q(x) in nats, from (N,) log-likelihoods or lower bounds of them (then it is an upper bound)."""
    return mean(-log_q)


def excess(log_q: Tensor, log_p: Tensor) -> Mean:
    """The NLL of q over the floor, in nats, from (N,) each at the same samples of p: an estimate of KL(p || q)."""
    return mean(log_p.double() - log_q.double())


def bits_per_dim(log_q: Tensor, dimensions: int, width: float = 1.0) -> Mean:
    """From (N,) nats of samples of D `dimensions` (channels x height x width) to bits for each of them.

    Args:
        width: of a pixel in the units that log q is a density in: 1/256 on the unit cube; 1 for probabilities.
    """
    nats = mean(-log_q)
    scale = dimensions * math.log(2)
    return Mean(nats.value / scale - math.log2(width), nats.error / scale)


def likelihood_measures(log_q: Tensor, log_p: Tensor | None = None) -> dict[str, float]:
    """`nll` and `nll_error`, and beside an exact density of the data `nll_floor`, `nll_excess` and `nll_excess_error`.

    Args:
        log_q: (N,) of the model at held-out samples, nats.
        log_p: (N,) of the true density at the same samples, nats.
    """
    nll = negative_log_likelihood(log_q)
    values = {"nll": nll.value, "nll_error": nll.error}
    if log_p is not None:
        over = excess(log_q, log_p)
        values |= {"nll_floor": mean(-log_p).value, "nll_excess": over.value, "nll_excess_error": over.error}
    return values


MEASURES = (
    Measure("nll", "negative log-likelihood of held-out samples", "min", "nats"),
    Measure("nll_error", "standard error of nll", "", "nats"),
    Measure("nll_floor", "nll of the data's own density on the same samples: no model can be better", "", "nats"),
    Measure("nll_excess", "nll over its floor, an estimate of KL(data || model)", "min", "nats"),
    Measure("nll_excess_error", "standard error of nll_excess", "", "nats"),
    Measure("bits_per_dim", "negative log-likelihood of 8-bit pixels", "min", "bits/dim"),
    Measure("elbo", "lower bound of the log-likelihood of held-out samples", "max", "nats"),
    Measure("iwae_nll", "upper bound of nll by importance weighting", "min", "nats"),
)
