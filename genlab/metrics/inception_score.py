"""Inception score: does a classifier recognise each sample clearly, and find all classes among the samples?

    IS = exp(E_x KL(p(y|x) || p(y))),   p(y) = E_x p(y|x)

The score is 1 if every sample gets the same p(y|x), and K if each of K classes is predicted with certainty and equally
often. It does not use real data: compare it with the score of real test images.

T. Salimans et al., "Improved Techniques for Training GANs", 2016, https://arxiv.org/abs/1606.03498.
"""

import torch
from torch import Tensor


def inception_score(logits: Tensor) -> float:
    """Returns the score of all samples at once (no splits), from logits (N, K): 1 to K."""
    log_conditional = logits.cpu().double().log_softmax(dim=1)
    conditional = log_conditional.exp()
    marginal = conditional.mean(dim=0)
    # Σ p log p(y|x) - Σ p(y) log p(y): the second term needs only the marginal.
    return ((conditional * log_conditional).sum(1).mean() - torch.xlogy(marginal, marginal).sum()).exp().item()
