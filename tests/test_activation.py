"""The compiled form of the piecewise linear activations is the same function, twice over."""

import pytest
import torch
from torch.nn import functional as F

from genlab.networks.activation import LeakyReLU, ReLU, differentiated_twice

X = torch.tensor([-float("inf"), -2.0, -0.0, 0.0, 1e-30, 3.0, float("inf"), float("nan")])


@pytest.fixture
def compiling(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


@pytest.mark.usefixtures("compiling")
@pytest.mark.parametrize(("module", "plain"), [(ReLU(), F.relu), (LeakyReLU(0.2), lambda x: F.leaky_relu(x, 0.2))])
def test_values_and_first_derivatives_are_the_same_bits(module, plain):
    results = []
    for function in (module, plain):
        x = X.clone().requires_grad_()
        y = function(x)
        finite = y[1:6].sum()  # 0 * inf apart, which no loss survives
        results.append((y.detach(), torch.autograd.grad(finite, x)[0]))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


def penalty_gradients(activation: torch.nn.Module) -> list[torch.Tensor]:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(3, 8), activation, torch.nn.Linear(8, 8), activation, torch.nn.Linear(8, 1)]
    net = torch.nn.Sequential(*layers).double()
    x = torch.randn(16, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    penalty = (gradient.norm(dim=1) - 1).square().mean()
    found = torch.autograd.grad(penalty, list(net.parameters()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, net.parameters(), strict=True)]


@pytest.mark.parametrize(("module", "plain"), [(ReLU(), torch.nn.ReLU()), (LeakyReLU(0.2), torch.nn.LeakyReLU(0.2))])
def test_second_derivatives_agree(module, plain, monkeypatch):
    expected = penalty_gradients(plain)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for a, b in zip(penalty_gradients(module), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)  # fp64 roundings
    assert any(g.abs().max() > 0.01 for g in expected)


@pytest.mark.parametrize(("module", "plain"), [(ReLU(), torch.nn.ReLU()), (LeakyReLU(0.2), torch.nn.LeakyReLU(0.2))])
def test_second_derivatives_agree_eagerly(module, plain):
    """To the bit: what is left out are sums with zeros."""
    expected = penalty_gradients(plain)
    with differentiated_twice():
        assert torch.equal(module(X[:-1]), plain(X[:-1]))  # and NaN below
        assert module(X[-1]).isnan()
        found = penalty_gradients(module)
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.usefixtures("compiling")
def test_the_second_derivative_has_no_path():
    x = torch.randn(4, requires_grad=True)
    (first,) = torch.autograd.grad(LeakyReLU(0.2)(x).sum(), x, create_graph=True)
    assert not first.requires_grad
