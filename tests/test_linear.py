"""A linear layer that takes the other library for large products has the values and derivatives of torch's."""

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from genlab.networks import linear
from genlab.networks.linear import Linear

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN")
ROWS, INPUTS, OUTPUTS = 64, 256, 300


@pytest.fixture(autouse=True)
def everywhere(monkeypatch):
    """As on a processor where it is faster, whatever this one is."""
    monkeypatch.setattr(linear, "wide", lambda: True)


def pair() -> tuple[Linear, nn.Linear, torch.Tensor]:
    torch.manual_seed(0)
    ours, plain = Linear(INPUTS, OUTPUTS), nn.Linear(INPUTS, OUTPUTS)
    plain.load_state_dict(ours.state_dict())
    return ours, plain, torch.randn(ROWS, INPUTS, requires_grad=True)


def by_onednn(y: torch.Tensor) -> bool:
    return type(y.grad_fn).__name__ == "ProductBackward"


def derivatives(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """The value; first derivatives by input, weight and bias; those of a gradient penalty, of the second order."""
    y = layer(x)
    first = torch.autograd.grad(softplus(y).sum(), [x, *layer.parameters()], create_graph=True)
    penalty = (first[0].norm(dim=1) - 1).square().mean()
    return [y, *first, *torch.autograd.grad(penalty, [x, *layer.parameters()])]


def test_values_and_derivatives_of_both_orders_agree():
    ours, plain, x = pair()
    assert by_onednn(ours(x))
    for a, b in zip(derivatives(ours, x), derivatives(plain, x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)  # sums of up to 300 fp32 terms in another order


def test_no_derivative_is_computed_that_nobody_asks_for():
    ours, _, x = pair()
    ours.requires_grad_(False)
    (gradient,) = torch.autograd.grad(ours(x).sum(), x)
    torch.testing.assert_close(gradient, ours.weight.sum(0).expand_as(x), rtol=1e-4, atol=1e-4)
    assert ours(x.detach()).grad_fn is None


def test_small_products_and_other_types_are_torchs():
    ours, _, x = pair()
    assert not by_onednn(ours(x[:2]))
    assert not by_onednn(ours.double()(x.double()))
    assert not by_onednn(ours.float()(x.view(2, 32, INPUTS)))
    with torch.autocast("cpu", torch.bfloat16):
        y = ours(x)
    assert y.dtype == torch.bfloat16


def test_it_is_out_of_the_way_of_transforms_and_compilers():
    ours, plain, x = pair()
    for mine, other in (
        (torch.func.grad(lambda v: ours(v).square().sum())(x), torch.func.grad(lambda v: plain(v).square().sum())(x)),
        (torch.func.vmap(ours)(x[None]), plain(x)[None]),
        (torch.compile(ours, backend="eager", fullgraph=True)(x), plain(x)),
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-3)
    assert not by_onednn(torch.compile(ours, backend="eager", fullgraph=True)(x))
