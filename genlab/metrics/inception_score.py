"""Inception score: does a classifier find each sample clear, and all classes among them?

    IS = exp(E_x KL(p(y|x) || p(y))),   p(y) = E_x p(y|x)

1 when every sample gets the same p(y|x), K when each of K classes is predicted surely and equally often. It knows no
real data: real test images themselves give the value to compare with.

T. Salimans et al., "Improved Techniques for Training GANs", 2016, https://arxiv.org/abs/1606.03498.
"""

import torch
from torch import Tensor


def inception_score(logits: Tensor) -> float:
    """The score of all samples at once (no splits), from logits (N, K): 1 to K."""
    log_conditional = logits.cpu().double().log_softmax(dim=1)
    conditional = log_conditional.exp()
    marginal = conditional.mean(dim=0)
    # Σ p log p(y|x) - Σ p(y) log p(y): the second term needs the marginal alone.
    return ((conditional * log_conditional).sum(1).mean() - torch.xlogy(marginal, marginal).sum()).exp().item()
