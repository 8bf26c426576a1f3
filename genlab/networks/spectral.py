"""Spectral normalization: every layer's weight matrix is divided by its largest singular value.

    W̄ = W / σ(W),   σ(W) ≈ uᵀ W v,   v <- Wᵀu / |Wᵀu|,  u <- W v / |W v|                       (eq. 8, algorithm 1)

so that each layer is 1-Lipschitz in the Euclidean norm (a convolution's matrix is its kernel flattened to
(outputs, inputs x height x width), as in the paper). One power iteration runs at each forward pass in training mode,
and none in eval mode; u and v are buffers, so that a resumed run continues with them.

T. Miyato, T. Kataoka, M. Koyama, Y. Yoshida, "Spectral Normalization for Generative Adversarial Networks", 2018,
https://arxiv.org/abs/1802.05957.
"""

from typing import TypeVar

from torch import nn
from torch.nn.utils import parametrizations

Net = TypeVar("Net", bound=nn.Module)
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)


def spectral_norm(net: Net) -> Net:
    """Normalizes the weight of every linear and convolutional layer of `net` in place, and returns the net."""
    for module in list(net.modules()):
        if isinstance(module, LAYERS):
            parametrizations.spectral_norm(module)
    return net
