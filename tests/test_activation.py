"""ReLU and LeakyReLU match torch's, compiled or differentiated twice."""

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
def test_values_and_first_derivatives_match_torch_bit_for_bit(module, plain):
    results = []
    for function in (module, plain):
        x = X.clone().requires_grad_()
        y = function(x)
        finite = y[1:6].sum()  # without ±inf, where 0 * inf is NaN
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
    gradients = torch.autograd.grad(penalty, list(net.parameters()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, net.parameters(), strict=True)]


@pytest.mark.parametrize(("module", "plain"), [(ReLU(), torch.nn.ReLU()), (LeakyReLU(0.2), torch.nn.LeakyReLU(0.2))])
def test_compiled_second_derivatives_match_torch(module, plain, monkeypatch):
    expected = penalty_gradients(plain)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for a, b in zip(penalty_gradients(module), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)  # fp64 rounding
    assert any(g.abs().max() > 0.01 for g in expected)


@pytest.mark.parametrize(("module", "plain"), [(ReLU(), torch.nn.ReLU()), (LeakyReLU(0.2), torch.nn.LeakyReLU(0.2))])
def test_eager_second_derivatives_match_torch_bit_for_bit(module, plain):
    """Bit for bit, because the terms left out are sums of zeros."""
    expected = penalty_gradients(plain)
    with differentiated_twice():
        assert torch.equal(module(X[:-1]), plain(X[:-1]))  # NaN is checked on the next line
        assert module(X[-1]).isnan()
        computed = penalty_gradients(module)
    for a, b in zip(computed, expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.usefixtures("compiling")
def test_the_first_derivative_does_not_require_grad():
    x = torch.randn(4, requires_grad=True)
    (first,) = torch.autograd.grad(LeakyReLU(0.2)(x).sum(), x, create_graph=True)
    assert not first.requires_grad
