"""Fourier features of coordinates: their values, and the nets that use them."""

import math

import torch
from torch import nn

from genlab.data.base import Spec
from genlab.models.flow import Flow
from genlab.networks.fourier import Fourier
from genlab.networks.mlp import MLP
from genlab.networks.timed_mlp import TimedMLP


def test_fourier_features_have_the_expected_values() -> None:
    x = torch.tensor([[0.5, -1.0]], dtype=torch.float64)
    sines = [math.sin(0.5 * w * v) for v in (0.5, -1.0) for w in (1, 2, 4)]
    cosines = [math.cos(0.5 * w * v) for v in (0.5, -1.0) for w in (1, 2, 4)]
    expected = torch.tensor([[0.5, -1.0, *sines, *cosines]], dtype=torch.float64)
    torch.testing.assert_close(Fourier(3)(x), expected, rtol=0, atol=1e-6)  # the frequencies are fp32
    assert Fourier(3).widened(2) == expected.numel()


def test_zero_octaves_leave_the_input_unchanged() -> None:
    x = torch.randn(4, 2)
    assert Fourier(0)(x) is x
    assert Fourier(0).widened(2) == 2


def test_an_mlp_uses_fourier_features() -> None:
    torch.manual_seed(0)
    net, x = MLP((2,), (), hidden=(8,), octaves=2), torch.randn(5, 2)
    first = net.layers[0]
    assert isinstance(first, nn.Linear)
    assert first.in_features == 10
    assert net(x).shape == (5,)
    with torch.no_grad():
        first.weight[:, 2:] = 0  # leaves only the coordinates
        plain = MLP((2,), (), (8,))
        for target, source in zip(plain.parameters(), net.parameters(), strict=True):
            target.copy_(source[:, :2] if target.shape != source.shape else source)
        torch.testing.assert_close(net(x), plain(x))
        torch.testing.assert_close(net.features(x), plain.features(x))


def test_fourier_features_are_not_stored_in_checkpoints() -> None:
    """Checkpoints of nets without them, or from before they had their own module, still load."""
    assert not [name for name in MLP((2,), (2,), octaves=3).state_dict() if "fourier" in name]
    assert not [name for name in TimedMLP((2,), features=3).state_dict() if "fourier" in name]


def test_couplings_with_fourier_features_stay_invertible() -> None:
    torch.manual_seed(0)
    flow = Flow(Spec((2,)), coupling="spline", couplings=2, hidden=(8,), octaves=3).double().eval()
    for parameter in flow.parameters():
        nn.init.normal_(parameter, std=0.3)
    z = torch.randn(50, 2, dtype=torch.float64)
    x, log_p = flow.draw(z)
    torch.testing.assert_close(flow.log_prob(x), log_p)
    torch.testing.assert_close(flow.flow(x)[0], z)
    assert flow.flow.layers[1].net.layers[0].in_features == 7  # type: ignore[union-attr]
