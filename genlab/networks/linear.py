"""A linear layer whose large fp32 products take the faster of torch's two CPU libraries.

torch hands fp32 products to MKL, which keeps to 256-bit vectors on processors that are not Intel's. oneDNN, which torch
carries as well, uses 512 bits wherever the processor has them: twice as fast there at large products. The choice
depends on shapes and processor alone, so that a run is the same each time.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

NARROW = 4  # a product with a side up to that is never worth it
LARGE = 1 << 22  # multiplications of a product from which on oneDNN wins; below, it takes longer to begin

library = torch.library.Library("genlab", "FRAGMENT")
library.define("linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor")


@torch.library.impl(library, "linear", "CPU")
def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x Wᵀ + b by oneDNN: (B, n), (m, n), (m,) -> (B, m). The compiler takes torch's own name for constant W only."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@torch.library.impl(library, "linear", "Meta")
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(len(x), len(weight))


@cache
def wide() -> bool:
    """Whether this processor is one on which oneDNN is faster than MKL: it has 512 bits, and is not Intel's."""
    if not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    names = Path("/proc/cpuinfo")
    return names.exists() and "GenuineIntel" not in names.read_text(encoding="utf-8", errors="replace")


def large(rows: int, inner: int, columns: int) -> bool:
    """Whether a product (rows, inner) x (inner, columns) is worth it."""
    return rows * inner * columns >= LARGE and min(rows, inner, columns) > NARROW


class Product(torch.autograd.Function):
    """x Wᵀ + b, whose derivatives are such products again: any number of them can be taken."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (x, weight), needs = gradients, ctx.saved_tensors, ctx.needs_input_grad
        return (
            Product.apply(gradient, weight.t(), None) if needs[0] else None,
            Product.apply(gradient.t(), x.t(), None) if needs[1] else None,
            gradient.sum(0) if needs[2] else None,
        )


class Linear(nn.Linear):
    """torch's linear layer: the same weights, the same values up to rounding.

    In a compiled graph it is torch's own, and the compiler's passes choose; so it is under `torch.func` and autocast.
    """

    def forward(self, input: Tensor) -> Tensor:
        if (
            torch.compiler.is_compiling()
            or not wide()
            or input.dim() != 2
            or not large(len(input), self.in_features, self.out_features)
            or not input.dtype == self.weight.dtype == torch.float32
            or input.device.type != "cpu"
            or torch.is_autocast_enabled("cpu")
            or torch._C._are_functorch_transforms_active()
        ):
            return super().forward(input)
        return Product.apply(input, self.weight, self.bias)  # pyright: ignore[reportCallIssue, reportReturnType]
