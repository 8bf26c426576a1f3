"""Flows: inverses and Jacobians against autograd, densities that integrate to 1, dequantization, reweighting."""

import math
from functools import partial
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from genlab.data import base
from genlab.data.base import Dataset, Spec, Stream
from genlab.data.fields import Field, numeric
from genlab.data.gaussian2d import Gaussian2D
from genlab.errors import UserError
from genlab.models.boltzmann import Boltzmann, double_well, quadrature, right
from genlab.models.flow import Flow, effective_sample_size
from genlab.models.line_head import normal_log_prob
from genlab.networks.coupling import ActNorm, Affine, Chain, Coupling, Invertible, InvertibleConv, Permute, Spline
from genlab.networks.glow import Dequantizer, Flatten, Split, Squeeze, conv_net, glow, realnvp
from genlab.networks.mlp import MLP
from genlab.networks.series_flow import realnvp1d
from genlab.networks.spline import spline
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

IMAGE, POINTS = (4, 4, 4), (5,)
PIXELS = Spec((1, 8, 8), fields="unit")
Module = TypeVar("Module", bound=nn.Module)


def perturbed(module: Module, scale: float = 0.3) -> Module:
    """Returns the module in float64 and eval mode with moved parameters, so that no layer is the identity."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return module.double().eval()


def initialised(channels: int) -> ActNorm:
    layer = ActNorm(channels)
    layer.initialise(3 + 2 * torch.randn(50, channels, generator=torch.Generator().manual_seed(0)))
    return layer


def coupling(transform: Affine | Spline) -> Coupling:
    return Coupling(MLP((2,), (3 * transform.size,), (16,)), 2, transform)


def conv_coupling(transform: Affine | Spline) -> Coupling:
    return Coupling(conv_net(1, 3 * transform.size, 8), 1, transform)


LAYERS = {
    "actnorm points": (lambda: initialised(5), POINTS),
    "actnorm images": (lambda: initialised(4), IMAGE),
    "permute": (lambda: Permute(torch.tensor([3, 1, 0, 4, 2])), POINTS),
    "invertible conv": (lambda: InvertibleConv(4), IMAGE),
    "affine": (lambda: coupling(Affine()), POINTS),
    "spline": (lambda: coupling(Spline(5, 1.5)), POINTS),
    "affine conv": (lambda: conv_coupling(Affine()), IMAGE),
    "spline conv": (lambda: conv_coupling(Spline(5, 1.5)), IMAGE),
    "squeeze": (Squeeze, IMAGE),
    "flatten": (lambda: Flatten(IMAGE), IMAGE),
    "split": (lambda: Split(IMAGE, Chain(InvertibleConv(2), Flatten((2, 4, 4)))), IMAGE),
    "realnvp affine": (lambda: realnvp((5,), Affine(), 4, (16,)), POINTS),
    "realnvp spline": (lambda: realnvp((2,), Spline(8, 2.0), 4, (16,)), (2,)),
    "realnvp images": (lambda: realnvp((1, 3, 3), Affine(), 3, (16,)), (1, 3, 3)),
    "realnvp1d affine": (lambda: realnvp1d((3, 5), Affine(), 6, 8), (3, 5)),
    "realnvp1d spline": (lambda: realnvp1d((2, 4), Spline(5, 1.5), 4, 8), (2, 4)),
    "realnvp1d of one channel": (lambda: realnvp1d((1, 7), Affine(), 3, 8), (1, 7)),
    "glow affine": (lambda: glow((1, 8, 8), Affine(), 2, 2, 8), (1, 8, 8)),
    "glow spline": (lambda: glow((1, 4, 4), Spline(5, 2.0), 2, 1, 8), (1, 4, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_inverse_and_log_determinant_match_autograd(name: str):
    make, shape = LAYERS[name]
    layer = perturbed(make())
    x = torch.randn(6, *shape, dtype=torch.float64)
    z, log_det = layer(x)
    again, back = layer.inverse(z)
    assert log_det.shape == back.shape == (6,)
    assert (again - x).abs().max() < 1e-6
    assert (back + log_det).abs().max() < 1e-6
    for i in range(2):
        jacobian = torch.autograd.functional.jacobian(lambda one: layer(one[None])[0].flatten(), x[i])
        assert (torch.linalg.slogdet(torch.as_tensor(jacobian).view(z[0].numel(), -1))[1] - log_det[i]).abs() < 1e-6


def test_steep_splines_are_finite_both_ways():
    """In fp32 the root in a steep bin may fall slightly outside it, where a slope would be negative."""
    torch.manual_seed(0)
    for _ in range(5):
        raw = 8 * torch.randn(100_000, 47)
        x = 8 * torch.rand(100_000) - 4
        for inverse in (False, True):
            y, log_slope = spline(x, raw, 4.0, inverse)
            assert y.isfinite().all()
            assert log_slope.isfinite().all()
            assert y.abs().max() <= 4


def test_a_spline_is_the_identity_for_zero_parameters_and_outside_its_bound():
    x = torch.linspace(-3, 3, 101, dtype=torch.float64)
    y, log_slope = spline(x, x.new_zeros(101, 14), 2.0)
    assert (y - x).abs().max() < 1e-12
    assert log_slope.abs().max() < 1e-12
    raw = torch.randn(14, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).expand(101, 14)
    y, log_slope = spline(x, raw, 2.0)
    assert torch.equal(y[x.abs() > 2], x[x.abs() > 2])
    assert (y.diff() > 0).all()
    assert (y - x).abs().max() > 0.1


def test_actnorm_is_initialised_by_the_first_batch_only():
    torch.manual_seed(0)
    flow = Flow(Spec((2,)), couplings=2, hidden=(8,)).train()
    first = torch.tensor([100.0, -7.0]) + torch.tensor([0.2, 30.0]) * torch.randn(256, 2)
    norm = next(module for module in flow.modules() if isinstance(module, ActNorm))
    z, _ = norm(first)
    assert z.mean(0).abs().max() < 1e-2
    assert (z.std(0) - 1).abs().max() < 1e-2
    flow.loss({"x": torch.randn(64, 2)})
    assert torch.equal(z, norm(first)[0])
    other = Flow(Spec((2,)), couplings=2, hidden=(8,)).train()
    other.load_state_dict(flow.state_dict())
    other.loss({"x": torch.randn(64, 2)})
    assert torch.equal(flow.log_prob(first), other.log_prob(first))


def test_actnorm_does_not_divide_by_almost_zero():
    """Covers a channel that is constant in the first batch, and a first batch of one sample."""
    layer = ActNorm(2).train()
    x = torch.stack([torch.zeros(256), torch.randn(256)], dim=1)
    layer(x)
    z, log_det = layer(torch.tensor([[22.0, 0.0]]))  # a standardised column of 0.2 % ones
    assert z[0, 0].item() == pytest.approx(220.0)
    assert log_det.item() == pytest.approx(math.log(10) - x[:, 1].std(correction=0).log().item(), rel=1e-5)
    layer = ActNorm(2).train()
    layer(torch.tensor([[3.0, -1.0]]))
    assert torch.equal(layer(torch.tensor([[4.0, 1.0]]))[0], torch.tensor([[1.0, 2.0]]))


@pytest.mark.parametrize(("size", "parts"), [(256, 1), (256, 64), (64, 64), (1, 1)], ids=str)
def test_actnorm_uses_at_least_256_samples_however_batches_are_split(size, parts):
    data, options = Gaussian2D("two", n=1000), Options(steps=1, batch_size=size, accumulate=parts, device="cpu")
    flow = Flow(data.spec, couplings=2, hidden=(8,))
    trainer = Trainer(flow, data, {"model": partial(torch.optim.Adam, lr=0.0)}, options, seed=3)
    trainer.train_step()
    x = torch.cat([Stream(data, size, 3)(n)["x"] for n in range(256 // size)])
    norm = next(module for module in flow.modules() if isinstance(module, ActNorm))
    assert torch.allclose(norm.mean, x.mean(0), atol=1e-5)
    assert torch.allclose(norm.log_deviation.exp(), x.std(0, correction=0), atol=1e-5)


def test_a_flow_learns_a_column_of_rare_ones():
    """With 0.2 % ones, a flow should at least reach the NLL of a Gaussian of the same mean and deviation."""
    torch.manual_seed(0)
    ones = torch.zeros(2000)
    ones[torch.randperm(2000)[:4]] = 1.0
    x = torch.stack([(ones - ones.mean()) / ones.std(), torch.randn(2000)], dim=1)
    data = Dataset("rare", {name: base.Split(x) for name in ("train", "validation", "test")}, "real")
    flow = Flow(data.spec, couplings=2, hidden=(16,))
    options = Options(steps=150, batch_size=64, device="cpu")
    Trainer(flow, data, {"model": partial(torch.optim.Adam, lr=1e-2)}, options).fit()
    assert -flow.eval().log_prob(x).mean() < 1 + math.log(2 * math.pi)


def test_actnorm_is_not_initialised_in_eval_mode():
    layer, x = ActNorm(2).eval(), torch.full((10, 2), 5.0)
    assert torch.equal(layer(x)[0], x)
    assert not layer.initialised


@pytest.mark.parametrize("kind", ["affine", "spline"])
def test_the_density_integrates_to_one(kind: str):
    flow = perturbed(Flow(Spec((2,)), coupling=kind, couplings=3, hidden=(8,), bins=6), 0.2)
    axis = (torch.arange(300, dtype=torch.float64) + 0.5) * (16 / 300) - 8
    with torch.no_grad():
        mass = flow.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (16 / 300) ** 2
    assert mass.item() == pytest.approx(1.0, abs=2e-3)  # the kinks of ReLU nets limit the midpoint rule


class Quantile(Invertible):
    """z = Φ⁻¹(v): the flow under which the unit cube is uniform."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = torch.special.ndtri(x).flatten(1)
        return z, -normal_log_prob(z)


@pytest.mark.parametrize("dequantization", ["uniform", "variational"])
@pytest.mark.parametrize("k", [1, 3])
def test_a_uniform_density_has_8_bits_per_dim(dequantization: str, k: int):
    flow = Flow(PIXELS, alpha=0.0, dequantization=dequantization).double()
    flow.flow = Quantile()
    x = torch.randint(0, 256, (5, *PIXELS.shape)).double() / 255
    assert (flow.bits_per_dim(x, k) - 8).abs().max() < 1e-9


def test_the_dequantizer_density_matches_autograd():
    dequantizer = perturbed(Dequantizer((1, 4, 4), 8))
    noise, x = torch.randn(2, 1, 4, 4, dtype=torch.float64), torch.rand(2, 1, 4, 4, dtype=torch.float64)
    u, log_q = dequantizer(noise, x)
    assert ((u > 0) & (u < 1)).all()
    jacobian = torch.autograd.functional.jacobian(lambda e: dequantizer(e, x[:1])[0], noise[:1])
    log_det = torch.linalg.slogdet(torch.as_tensor(jacobian).view(16, 16))[1]
    expected = normal_log_prob(noise[:1].flatten(1)) - log_det
    assert (log_q[:1] - expected).abs().max() < 1e-6


@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_the_density_of_a_draw_agrees_with_log_density(alpha: float):
    flow = perturbed(Flow(PIXELS, steps=2, width=8, alpha=alpha), 0.05)
    x, log_p = flow.draw(torch.randn(4, 64, dtype=torch.float64))
    assert (flow.log_density(x) - log_p).abs().max() < 1e-6


@pytest.mark.parametrize("range", ["unit", "symmetric"])
def test_samples_are_pixels_and_equal_at_temperature_zero(range):
    flow = Flow(Spec((1, 8, 8), fields=range), steps=1, width=8)
    torch.manual_seed(0)
    pixels = 255 * flow.spec.decode(flow.sample(3))
    assert pixels.shape == (3, 1, 8, 8)
    assert (pixels - pixels.round()).abs().max() < 1e-3
    cold = flow.sample(3, temperature=0.0)
    assert torch.equal(cold[0], cold[1])


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 32, 32), (1, 64, 64), (3, 5, 7)])
def test_flows_work_on_images_of_any_size(shape):
    flow = Flow(Spec(shape, fields="unit"), steps=1, width=4, couplings=2, hidden=(8,))
    x = torch.rand(2, *shape)
    assert flow.loss({"x": x}).loss.isfinite()
    assert flow.sample(2).shape == x.shape


def test_the_loss_stays_in_fp32_under_bf16():
    flow = Flow(PIXELS, steps=1, width=8)
    with torch.autocast("cpu", torch.bfloat16):
        out = flow.loss({"x": torch.rand(4, *PIXELS.shape)})
    assert out.loss.dtype == torch.float32


def test_wrong_options_are_refused():
    with pytest.raises(UserError, match="binary"):
        Flow(Spec((1, 8, 8), fields="binary"))
    with pytest.raises(UserError, match="cannot halve"):
        Flow(Spec((1, 6, 6), fields="unit"), architecture="glow", levels=3)
    with pytest.raises(UserError, match="did you mean"):
        Flow(Spec((2,)), coupling="splin")


def test_the_effective_sample_size_matches_values_by_hand():
    assert effective_sample_size(torch.full((10,), 700.0)) == pytest.approx(10)  # no overflow
    assert effective_sample_size(torch.tensor([0.0, -torch.inf])) == pytest.approx(1)
    weights = torch.tensor([1.0, 2.0, 3.0])
    assert effective_sample_size(weights.log()) == pytest.approx(36 / 14)


def test_importance_sampling_estimates_a_known_integral():
    flow = perturbed(Flow(Spec((2,)), couplings=2, hidden=(8,)), 0.1)
    torch.manual_seed(0)
    with torch.no_grad():
        weighted = flow.importance_sample(20000, lambda x: normal_log_prob(x - 0.5) + 2.0)
    log_z = weighted.log_weights.logsumexp(0) - math.log(20000)
    sampling_error = (1 / weighted.effective_sample_size - 1 / 20000).sqrt().item()
    assert abs(log_z.item() - 2.0) < 4 * sampling_error


def test_quadrature_matches_the_one_dimensional_integral():
    """The second coordinate cancels."""
    from scipy.integrate import quad

    def density(x: float) -> float:
        return math.exp(-(0.25 * x**4 - 3 * x**2 + x))

    expected = math.log(quad(density, -8, 0)[0] / quad(density, 0, 8)[0])
    assert quadrature(double_well) == pytest.approx(expected, abs=1e-4)
    assert quadrature(lambda x: 0.5 * x.square().sum(1), right) == pytest.approx(0.0, abs=1e-9)


def test_boltzmann_learns_both_wells_of_a_small_barrier():
    """A double well with a barrier of 2 kT and a tilt, in 100 steps: reweighting gives the free energy."""

    def energy(x: Tensor) -> Tensor:
        return 2 * (x[:, 0].square() - 1).square() + 0.5 * x[:, 0] + 0.5 * x[:, 1].square()

    torch.manual_seed(0)
    model = Boltzmann(Spec((2,)), energy, anneal_steps=50, couplings=4, hidden=(32,), bins=8, bound=4.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(100):
        out = model.loss({"x": torch.zeros(128, 2), "step": torch.tensor(step)})
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
    with torch.no_grad():
        difference, size = model.free_energy_difference(20000)
    assert size > 0.5 * 20000
    assert abs(difference.item() - quadrature(energy)) < 0.1
    torch.manual_seed(1)
    measures = model.measures(20000)
    assert measures["effective_sample_size"] > 0.5
    assert measures["free_energy_error"] == pytest.approx(
        abs(measures["free_energy_difference"] - quadrature(energy)), abs=1e-6
    )


def test_boltzmann_refuses_tables_and_images():
    for fields in (
        (numeric("a", 1.0, 2.0), numeric("b", 0.0, 1.0)),
        (Field("word", "category", 2), numeric("a", 1.0, 2.0)),
    ):
        size = sum(field.size for field in fields)
        with pytest.raises(UserError, match="boltzmann learns from an energy of points, not from a table"):
            Boltzmann(Spec((size,), fields=fields))
    with pytest.raises(UserError, match="not from images"):
        Boltzmann(PIXELS)


def test_boltzmann_annealing_depends_only_on_the_step():
    model = Boltzmann(Spec((2,)), start=0.01, anneal_steps=100)
    assert model.beta_at(torch.tensor(0)) == pytest.approx(0.01)
    assert model.beta_at(torch.tensor(50)) == pytest.approx(0.1)
    assert model.beta_at(torch.tensor(2**31 - 1)) == 1.0
