"""Products of a compiled graph that are computed another way have the same values."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from genlab.trainer.execution import matmul_pass

aten = torch.ops.aten
SHAPES = {"large": (64, 256, 300), "narrow": (128, 64, 2), "small": (16, 8, 16)}
WIDE = pytest.param("large", marks=pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN"))


def rewritten(function, *inputs) -> tuple[torch.fx.GraphModule, set]:
    module = make_fx(function, tracing_mode="fake")(*inputs)
    rule = matmul_pass.Products()
    rule.wide = True
    rule(module.graph)
    module.graph.lint()
    module.recompile()
    return module, {node.target for node in module.graph.nodes}


@pytest.mark.parametrize("kind", [WIDE, "narrow", "small"])
def test_products_keep_their_values(kind):
    rows, inner, columns = SHAPES[kind]
    torch.manual_seed(0)
    a, b, bias = torch.randn(inner, rows), torch.randn(inner, columns), torch.randn(columns)

    def both(a, b, bias):
        return aten.mm(aten.permute(a, [1, 0]), b), aten.addmm(bias, aten.permute(a, [1, 0]), b)

    module, targets = rewritten(both, a, b, bias)
    assert (torch.ops.genlab.linear.default in targets) == (kind == "large")
    assert (aten.addmm.default in targets) == (kind != "large")
    for new, old in zip(module(a, b, bias), both(a, b, bias), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-5, atol=1e-4)  # sums of up to 256 fp32 terms in another order
        assert new.shape == old.shape


def test_a_narrow_product_is_turned_around():
    a, b = torch.randn(64, 128), torch.randn(64, 2)
    module, _ = rewritten(lambda a, b: aten.mm(aten.permute(a, [1, 0]), b), a, b)
    (product,) = [node for node in module.graph.nodes if node.target is aten.mm.default]
    assert product.meta["val"].shape == (2, 128)


def test_other_types_are_left_alone():
    a = torch.randn(256, 256, dtype=torch.float64)
    _, targets = rewritten(lambda a: aten.mm(a, a), a)
    assert torch.ops.genlab.linear.default not in targets
