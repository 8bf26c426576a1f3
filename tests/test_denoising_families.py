"""Tests shared by all families with a denoiser: losses, samples, classes, guidance, scale, and the nets."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from closed_forms import IMAGES, POINTS, batch, small
from scipy.special import ndtr
from torch import nn

from genlab.data.base import Spec
from genlab.errors import UserError
from genlab.models.ddpm import DDPM
from genlab.models.flow_matching import FlowMatching, draw_times, path, stochastic_step
from genlab.models.score import Score
from genlab.networks.unet import UNet

FAMILIES: dict[str, Callable[..., Any]] = {
    "ddpm": lambda spec, **o: DDPM(spec, sample_steps=3, net=small, **o),
    "ddpm x0 ancestral": lambda spec, **o: DDPM(spec, "x0", sampler="ancestral", sample_steps=3, net=small, **o),
    "ddpm v cosine": lambda spec, **o: DDPM(spec, "v", "cosine", sample_steps=3, eta=0.5, net=small, **o),
    "score": lambda spec, **o: Score(spec, sample_steps=2, net=small, **o),
    "langevin": lambda spec, **o: Score(spec, sampler="langevin", langevin_levels=2, net=small, **o),
    "flow_matching": lambda spec, **o: FlowMatching(spec, sample_steps=2, net=small, **o),
    "flow_matching stochastic": lambda spec, **o: FlowMatching(
        spec, sample_steps=2, solver="stochastic", net=small, **o
    ),
}


@pytest.mark.parametrize("spec", [POINTS, IMAGES], ids=["points", "images"])
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("conditional", [False, True])
def test_losses_have_gradients_and_samples_are_finite(name: str, spec: Spec, conditional: bool) -> None:
    torch.manual_seed(0)
    model = FAMILIES[name](spec, conditional=conditional, guidance=2.0)
    out = model.loss(batch(spec))
    out.loss.backward()
    last = list(model.net.parameters())[-1]
    assert last.grad is not None
    assert last.grad.abs().sum() > 0
    assert all(value.dim() == 0 for value in out.logs.values())
    x = model.eval().sample(3)
    assert x.shape == (3, *spec.shape)
    assert x.isfinite().all()


def perturbed(model: DDPM) -> DDPM:
    """Returns the model with random weights, since new nets return 0; its output depends on everything."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


def test_guidance_extrapolates_from_unconditional_to_conditional() -> None:
    torch.manual_seed(0)
    model = perturbed(DDPM(POINTS, conditional=True, net=small))
    x, t, y = torch.randn(5, 2), torch.rand(5), torch.tensor([0, 1, 0, 1, 1])
    free, bound = model.guided(x, t), model.net(x, t, y)
    assert not torch.allclose(free, bound)
    for weight in (0.0, 1.0, 3.0):
        model.guidance = weight
        torch.testing.assert_close(model.guided(x, t, y), free + weight * (bound - free))
    model.guidance = 0.0
    torch.manual_seed(1)
    class_0 = model.sample(4, torch.zeros(4, dtype=torch.long))
    torch.manual_seed(1)
    torch.testing.assert_close(class_0, model.sample(4, torch.ones(4, dtype=torch.long)), rtol=0, atol=0)


def test_labels_are_hidden_with_the_given_probability() -> None:
    torch.manual_seed(0)
    model = DDPM(POINTS, conditional=True, drop_label=0.3, net=small)
    hidden = model.hide(torch.zeros(10000, dtype=torch.long))
    assert set(hidden.tolist()) == {0, POINTS.classes}
    assert (hidden == POINTS.classes).float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_the_scale_is_measured_over_the_first_steps_only() -> None:
    model, x = DDPM(POINTS, net=small), torch.randn(3, 8, 2) * 5
    for i in range(3):
        model.measure({"x": x[i], "step": torch.tensor(i)})
    torch.testing.assert_close(model.mean_square, x.square().mean())
    before = model.mean_square.clone()
    model.measure({"x": 100 * x[0], "step": torch.tensor(1000)})
    model.eval().measure({"x": 100 * x[0], "step": torch.tensor(3)})
    assert torch.equal(model.mean_square, before)
    assert "mean_square" in model.state_dict()


@pytest.mark.parametrize(
    ("density", "cumulative"),
    [
        ("uniform", lambda t: t),
        ("late", lambda t: 1 - (1 - t) ** 0.5),
        ("logit_normal", lambda t: ndtr(math.log(t / (1 - t)))),
    ],
)
def test_flow_matching_draws_times_from_the_chosen_density(density: str, cumulative) -> None:
    torch.manual_seed(0)
    t = draw_times(density, 20000, "cpu")
    assert t.min() >= 0
    assert t.max() <= 1
    for point in (0.1, 0.5, 0.9):  # within five standard errors
        share = (t <= point).float().mean().item()
        assert share == pytest.approx(cumulative(point), abs=5 * 0.5 / 20000**0.5)


@pytest.mark.parametrize(("t", "end"), [(0.0, 0.3), (0.3, 0.7), (0.7, 1.0)])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_stochastic_step_stays_on_the_path(t: float, end: float, eta: float) -> None:
    """With the true velocity of one x_1, x_u has the path's mean and variance; for η = 1, x_t is x_u plus noise."""
    torch.manual_seed(0)
    n, least, x = 100_000, 0.1, torch.full((100_000, 1), 2.0, dtype=torch.float64)
    x_t, velocity = path(torch.randn_like(x), x, torch.full((n,), t, dtype=x.dtype), least)
    x_u = stochastic_step(x_t, velocity, torch.randn_like(x), t, end, least, eta)
    sigma_t, sigma_u = 1 - (1 - least) * t, 1 - (1 - least) * end
    assert x_u.mean().item() == pytest.approx(2 * end, abs=0.02)  # 5 standard errors of a mean of variance 1
    assert x_u.var().item() == pytest.approx(sigma_u**2, rel=0.03)
    covariance = ((x_t - 2 * t) * (x_u - 2 * end)).mean().item()
    expected = t / end * sigma_u**2 if eta else sigma_t * sigma_u
    assert covariance == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("side", [28, 32, 64])
def test_unet_depends_on_image_time_and_class(side: int, patch: int) -> None:
    torch.manual_seed(0)
    net = UNet((3, side, side), classes=4, width=8, dropout=0.1, patch=patch)
    x = torch.randn(2, 3, side, side)
    assert net(x, torch.rand(2), torch.tensor([0, 4])).abs().max() == 0  # new nets return zero
    perturbed_net = net.eval()
    for parameter in perturbed_net.parameters():
        nn.init.normal_(parameter, std=0.1)
    y = torch.tensor([1, 1])
    first = net(x, torch.tensor([0.2, 0.2]), y)
    assert first.shape == x.shape
    assert not torch.allclose(first, net(x, torch.tensor([0.8, 0.8]), y))
    assert not torch.allclose(first, net(x, torch.tensor([0.2, 0.2]), torch.tensor([2, 2])))


def test_unet_patches_see_only_neighbouring_pixels() -> None:
    """Position 5 of the first level sees 3 x 3 patches: rows and columns 2 (5 - 1) to 2 (5 + 1) + 1."""
    net = UNet((1, 28, 28), width=8, patch=2)
    assert len(net.down) == 2
    seen: list[Any] = []
    net.first.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    x = torch.randn(1, 1, 28, 28, requires_grad=True)
    net(x, torch.rand(1))
    (gradient,) = torch.autograd.grad(seen[0][0, :, 5, 5].sum(), x)
    places = gradient[0, 0].nonzero()
    assert (places.amin(0).tolist(), places.amax(0).tolist()) == ([8, 8], [13, 13])


def test_flow_matching_trains_at_logit_normal_times() -> None:
    """The logits of the times that the net is trained at have mean 0 and standard deviation 1."""
    torch.manual_seed(0)
    seen = []
    model = FlowMatching(POINTS, time_density="logit_normal", net=small)
    model.net = nn.Identity()
    model.net.forward = lambda x, t, y: seen.append(t) or x  # type: ignore[method-assign]
    model.loss({"x": torch.randn(20_000, 2), "step": torch.tensor(0)})
    logit = seen[0].logit()
    assert abs(logit.mean()) < 0.03  # four standard errors of the mean of 20,000
    assert abs(logit.std() - 1) < 0.02  # and of the standard deviation


def test_unet_has_the_expected_number_of_parameters() -> None:
    assert 450_000 < sum(p.numel() for p in UNet((1, 28, 28)).parameters()) < 700_000


@pytest.mark.parametrize(
    "make",
    [
        lambda: DDPM(POINTS, "noise"),
        lambda: DDPM(POINTS, sample_steps=1001),
        lambda: DDPM(POINTS, eta=1.5),
        lambda: DDPM(Spec((2,)), conditional=True),
        lambda: UNet((1, 27, 27)),
        lambda: UNet((1, 28, 28), width=12),
        lambda: UNet((1, 28, 28), patch=3),
        lambda: UNet((1, 28, 28), patch=0),
        lambda: Score(POINTS, sampler="ddim"),
        lambda: FlowMatching(POINTS, solver="heunn"),
        lambda: FlowMatching(POINTS, time_density="normal"),
    ],
)
def test_wrong_options_are_refused(make) -> None:
    with pytest.raises(UserError):
        make()
