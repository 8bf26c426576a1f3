"""Converts log-likelihoods of single samples, in nats, into the figures that are reported.

    NLL       = -E log q(x)                                   nats
    excess    = E [log p(x) - log q(x)] -> KL(p || q) >= 0    nats, p the exact density of the data
    bits/dim  = -(E log q(x) + D log w) / (D log 2)           w the width of a pixel if q is a density

The entropy of p is the floor of every NLL. The excess over it is computed sample by sample, so that the scatter of
log p(x), which makes up most of the error of the NLL, cancels.

A density of images is a value per volume, and only the width w of a pixel makes it a probability of 8-bit pixels:

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
    error: float  # standard error of the value, only from the scatter of the samples


def mean(values: Tensor) -> Mean:
    """Returns the mean of (N,) values and its standard error s/√N (NaN for one value)."""
    values = values.double()
    error = (values.std() / math.sqrt(len(values))).item() if len(values) > 1 else math.nan
    return Mean(values.mean().item(), error)


def excess(log_q: Tensor, log_p: Tensor) -> Mean:
    """Returns the NLL of q above its floor in nats, an estimate of KL(p || q), from (N,) values at samples of p."""
    return mean(log_p.double() - log_q.double())


def bits_per_dim(log_q: Tensor, dimensions: int, width: float = 1.0) -> Mean:
    """Converts (N,) log-likelihoods in nats to bits per dimension, of which there are channels x height x width.

    Args:
        width: width of a pixel in the units of the density: 1/256 on the unit cube; 1 for probabilities.
    """
    nats = mean(-log_q)
    scale = dimensions * math.log(2)
    return Mean(nats.value / scale - math.log2(width), nats.error / scale)


def likelihood_measures(log_q: Tensor, log_p: Tensor | None = None) -> dict[str, float]:
    """Returns `nll` and `nll_error` and, given `log_p`, `nll_floor`, `nll_excess` and `nll_excess_error`.

    Args:
        log_q: (N,) log-density of the model at held-out samples, in nats.
        log_p: (N,) log of the true density at the same samples, in nats.
    """
    nll = mean(-log_q)
    values = {"nll": nll.value, "nll_error": nll.error}
    if log_p is not None:
        over = excess(log_q, log_p)
        values |= {"nll_floor": mean(-log_p).value, "nll_excess": over.value, "nll_excess_error": over.error}
    return values


MEASURES = (
    Measure("nll", "negative log-likelihood of held-out samples", "min", "nats"),
    Measure("nll_error", "standard error of nll", "", "nats"),
    Measure("nll_floor", "nll of the data's own density on the same samples, the lowest possible", "", "nats"),
    Measure("nll_excess", "nll above its floor, an estimate of KL(data || model)", "min", "nats"),
    Measure("nll_excess_error", "standard error of nll_excess", "", "nats"),
    Measure("bits_per_dim", "negative log-likelihood of 8-bit pixels", "min", "bits/dim"),
    Measure("elbo", "lower bound on the log-likelihood of held-out samples", "max", "nats"),
    Measure("iwae_nll", "upper bound on nll by importance weighting", "min", "nats"),
)
