"""Activations by name, and the piecewise linear ones in a form whose second derivative costs nothing.

A gradient penalty differentiates a net twice. The second derivative of a piecewise linear function is 0, yet autograd
knows it as a tensor of zeros, and takes that through every layer of the forward pass: matrix products for nothing.
`torch.where` picks between two linear functions, and its condition has no derivative at all.
"""

import torch
from torch import Tensor, nn


class LeakyReLU(nn.LeakyReLU):
    """x where x > 0, else slope x. In a compiled graph free of second derivatives; eagerly torch's own, one kernel."""

    def forward(self, input: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            return torch.where(input > 0, input, self.negative_slope * input)
        return super().forward(input)


class ReLU(nn.ReLU):
    """max(x, 0), in the same two ways; NaN stays NaN."""

    def forward(self, input: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            return torch.where(input <= 0, 0.0, input)
        return super().forward(input)


ACTIVATIONS = {
    "relu": ReLU,
    "leaky_relu": lambda: LeakyReLU(0.2),
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
}
