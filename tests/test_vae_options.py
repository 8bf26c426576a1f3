"""The importance-weighted bound, VAE-GAN, a collapsed run, and pictures of codes."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from genlab.data.base import Dataset, Spec, Split
from genlab.data.gaussian2d import Gaussian2D
from genlab.errors import UserError
from genlab.models import vae as vae_module
from genlab.models.base import Family
from genlab.models.vae import VAE, gaussian_kl
from genlab.models.vae_gan import VAEGAN
from genlab.networks.choice import decoder, encoder
from genlab.plots.snapshots import interpolation, latent_grid, snapshot
from genlab.trainer.loop import Result, Trainer
from genlab.trainer.options import Options

SMALL: dict[str, Any] = {
    "encoder": partial(encoder, hidden=(16,), width=4),
    "decoder": partial(decoder, hidden=(16,), width=4),
}


def linear_gaussian(slack: float) -> tuple[VAE, Tensor, Tensor]:
    """Returns a VAE with p(x|z) = N(W z + b, σ² I), 20 points x, and the exact log p(x), p(x) = N(b, W Wᵀ + σ² I).

    Its q(z|x) is the exact posterior N(M⁻¹ Wᵀ (x - b) / σ², M⁻¹), M = I + Wᵀ W / σ², except that its
    log-variances are too large by `slack`. (W has orthogonal columns, so that the covariance is diagonal.)
    """
    torch.manual_seed(0)
    linear: dict[str, Any] = {"encoder": partial(encoder, hidden=()), "decoder": partial(decoder, hidden=())}
    model, sigma = VAE(Spec((3,)), z_dim=2, likelihood="gaussian", sigma=0.5, **linear), 0.5
    w, b = torch.tensor([[1.0, 0.5], [-1.0, 0.5], [0.0, 1.0]]), torch.tensor([0.3, -0.2, 0.1])
    precision = 1 + w.square().sum(0) / sigma**2  # the diagonal of M
    gain = w.T / sigma**2 / precision[:, None]
    with torch.no_grad():
        last: Any = model.decoder.get_submodule("layers.0")
        last.weight.copy_(w)
        last.bias.copy_(b)
        first: Any = model.encoder.get_submodule("layers.0")
        first.weight.copy_(torch.cat([gain, torch.zeros(2, 3)]))
        first.bias.copy_(torch.cat([-gain @ b, slack - precision.log()]))
    x = torch.randn(20, 3)
    exact = torch.distributions.MultivariateNormal(b, w @ w.T + sigma**2 * torch.eye(3)).log_prob(x)
    return model, x, exact


def test_the_bound_is_exact_for_the_exact_posterior():
    """If q is the posterior, every weight is p(x): L_k = log p(x) without noise for any number of samples."""
    model, x, exact = linear_gaussian(slack=0.0)
    with torch.no_grad():
        assert torch.allclose(model.elbo(x, 2), exact, atol=1e-5)
        assert torch.allclose(model.elbo(x, 50), exact, atol=1e-5)


def test_the_bound_approaches_the_exact_likelihood():
    """q is too wide by e^0.7 in each variance; its gap at k = 1 is KL(q||p) = Σ ½ (e^0.7 - 1 - 0.7)."""
    model, x, exact = linear_gaussian(slack=0.7)
    gap = math.exp(0.7) - 1.7
    torch.manual_seed(1)
    with torch.no_grad():
        single = torch.stack([model.elbo(x) for _ in range(2000)])
        multiple = model.elbo(x, 5000)
    # The log-weight's deviation is about 1.4 nats, over 40,000 draws: 0.007; four of these.
    assert (exact - single.mean(0)).mean().item() == pytest.approx(gap, abs=0.03)
    # The weights are below 2 p(x), so their deviation is below p(x), the error below 1 / √5000 = 0.014; five of these.
    assert (multiple - exact).abs().max() < 0.07


def test_the_bound_grows_with_k():
    model, x, exact = linear_gaussian(slack=1.5)
    torch.manual_seed(1)
    with torch.no_grad():
        bounds = [torch.stack([model.elbo(x, k) for _ in range(400)]).mean().item() for k in (1, 5, 50)]
    assert bounds[0] < bounds[1] < bounds[2] < exact.mean().item() + 0.01


def test_the_memory_of_the_bound_does_not_grow_with_k():
    model, x, _ = linear_gaussian(slack=0.7)
    rows = []
    model.decoder.register_forward_pre_hook(lambda net, inputs: rows.append(len(inputs[0])))
    with torch.no_grad():
        model.elbo(x, 1000)
    assert sum(rows) == 1000 * len(x)
    assert max(rows) <= vae_module.ROWS


def test_one_importance_sample_gives_the_plain_loss():
    batch = {"x": torch.rand(6, 2), "step": torch.tensor(0)}

    def loss(**options) -> Tensor:
        torch.manual_seed(0)
        model = VAE(Spec((2,)), z_dim=2, **SMALL, **options)
        return model.loss(batch).loss

    assert torch.equal(loss(), loss(importance_samples=1))
    assert loss(importance_samples=2) != loss()
    with pytest.raises(UserError, match="importance_samples: must be >= 1"):
        loss(importance_samples=0)


@pytest.mark.parametrize("spec", [Spec((2,)), Spec((1, 28, 28), 0, "unit")], ids=["points", "images"])
def test_the_importance_weighted_loss_is_minus_the_bound(spec):
    """With the same noise it is minus `elbo(x, k)`; each weight is p(x|z) p(z) / q(z|x) by torch's own densities."""
    torch.manual_seed(0)
    model = VAE(spec, z_dim=3, importance_samples=4, **SMALL).eval()
    x = torch.rand(6, *spec.shape)
    torch.manual_seed(1)
    out = model.loss({"x": x, "step": torch.tensor(0)})
    torch.manual_seed(1)
    bound = model.elbo(x, 4).mean()
    assert torch.allclose(out.loss, -bound)
    assert torch.equal(out.logs["elbo"], -out.loss)
    torch.manual_seed(1)
    mean, log_variance = model.posterior(x)
    q, prior = torch.distributions.Normal(mean, (0.5 * log_variance).exp()), torch.distributions.Normal(0.0, 1.0)
    noise = torch.randn(4, 6, 3)
    weights = []
    for draw in noise:
        z = mean + q.scale * draw
        weights.append(model.log_likelihood(x, z) + (prior.log_prob(z) - q.log_prob(z)).sum(1))
    expected = torch.stack(weights).logsumexp(0).mean() - math.log(4)
    assert torch.allclose(bound, expected, rtol=1e-5)
    assert out.logs["kl"] == gaussian_kl(mean, log_variance).mean()


def images(n: int = 64) -> Dataset:
    """Returns images of squares at random places, enough to train on for a few steps."""
    g = torch.Generator().manual_seed(0)
    x = torch.zeros(n, 1, 28, 28, dtype=torch.uint8)
    for image in x:
        top, left, value = torch.randint(0, 20, (3,), generator=g).tolist()
        image[:, top : top + 8, left : left + 8] = 100 + 7 * value
    split = Split(x)
    return Dataset("squares", {"train": split, "validation": split, "test": split}, "unit")


def train(family: Family, data: Dataset, steps: int, **options: Any) -> tuple[Trainer, Result]:
    rates = {name: partial(torch.optim.Adam, lr=1e-3) for name in ("model", "autoencoder", "discriminator")}
    quiet: dict[str, Any] = {
        "log_every": 0,
        "sample_every": 0,
        "checkpoint_every": 0,
        "batch_size": 16,
        "device": "cpu",
    }
    trainer = Trainer(family, data, rates, Options(steps=steps, **(quiet | options)))
    return trainer, trainer.fit()


@pytest.mark.parametrize("kind", ["points", "images"])
def test_a_vae_gan_without_adversarial_loss_equals_the_plain_vae(kind):
    """With λ = 0 and the same seed, weights, averaged weights and validation losses are equal bit for bit."""
    data = Gaussian2D(n=64) if kind == "points" else images()
    torch.manual_seed(0)
    plain, _ = train(VAE(data.spec, z_dim=2, **SMALL), data, 6, evaluate_every=3)
    torch.manual_seed(0)
    family = VAEGAN(data.spec, adversarial_weight=0.0, z_dim=2, **SMALL)
    untouched = [p.clone() for p in family.discriminator.parameters()]
    game, _ = train(family, data, 6, evaluate_every=3)
    assert plain.ema
    assert game.ema
    for a, b in ((plain.family, game.family), (plain.ema.model, game.ema.model)):
        mine = {key.removeprefix("vae."): value for key, value in b.state_dict().items() if key.startswith("vae.")}
        assert mine.keys() == a.state_dict().keys()
        assert all(torch.equal(value, mine[key]) for key, value in a.state_dict().items())
    assert plain.measures == game.measures
    assert all(torch.equal(a, b) for a, b in zip(untouched, family.discriminator.parameters(), strict=True))
    torch.manual_seed(0)
    played, _ = train(VAEGAN(data.spec, adversarial_weight=1.0, z_dim=2, **SMALL), data, 6)
    key = "decoder.layers.0.weight"
    assert not torch.equal(played.family.state_dict()[f"vae.{key}"], plain.family.state_dict()[key])


def test_the_adversarial_term_trains_only_the_decoder():
    torch.manual_seed(0)
    batch = {"x": torch.rand(6, 1, 28, 28), "step": torch.tensor(0)}
    family = VAEGAN(Spec((1, 28, 28), 0, "unit"), adversarial_weight=2.0, vae_weight=0.0, z_dim=2, **SMALL)
    out = family.autoencoder_loss(batch)
    assert out.loss.item() == pytest.approx(2 * out.logs["adversarial"].item())
    gradients = torch.autograd.grad(out.loss, [*family.vae.encoder.parameters(), *family.vae.decoder.parameters()])
    encoders = len(list(family.vae.encoder.parameters()))
    assert all((g == 0).all() for g in gradients[:encoders])
    assert all((g != 0).any() for g in gradients[encoders:])


def test_a_vae_gan_without_any_loss_is_refused():
    with pytest.raises(UserError, match="nothing to learn"):
        VAEGAN(Spec((2,)), adversarial_weight=0.0, vae_weight=0.0)


def test_a_collapsed_run_stops_or_warns_as_asked(capsys):
    """β = 1000 pushes every code to the prior."""
    data = Gaussian2D(n=256)

    def run(on_collapse: str) -> Result:
        torch.manual_seed(0)
        model = VAE(data.spec, z_dim=2, beta=1000.0, **SMALL)
        return train(model, data, 100, evaluate_every=20, ema=0.0, on_collapse=on_collapse)[1]

    stopped = run("stop")
    assert stopped.measures["eval/kl"] < 0.1
    assert stopped.reason.startswith("posterior collapse")
    assert stopped.step < 100
    assert (stopped.step - 1) % 20 == 0  # the step after the evaluation that detected it
    assert "posterior collapse" in capsys.readouterr().err
    warned = run("warn")
    assert warned.reason == "steps"
    assert capsys.readouterr().err.count("posterior collapse") == 1
    run("off")
    assert "collapse" not in capsys.readouterr().err


class Plane:
    """A codec whose code of two numbers is the sample itself."""

    def encode(self, x: Tensor) -> Tensor:
        return x

    def decode(self, z: Tensor) -> Tensor:
        return z


def test_an_interpolation_runs_from_image_to_image():
    x = torch.tensor([[0.0, 0.0], [1.0, 2.0], [4.0, 8.0], [3.0, 0.0]])  # rows from x_0 to x_2, from x_1 to x_3
    rows = interpolation(Plane(), x, steps=5).view(2, 5, 2)
    assert torch.allclose(rows[0], torch.linspace(0, 1, 5)[:, None] * x[2])
    assert torch.equal(rows[1, 0], x[1])
    assert torch.equal(rows[1, 4], x[3])


def test_the_latent_grid_has_equal_steps_of_probability():
    grid = latent_grid(Plane(), torch.device("cpu"), side=4).view(4, 4, 2)
    probability = torch.special.ndtr(grid)
    ticks = torch.tensor([0.125, 0.375, 0.625, 0.875])
    assert torch.allclose(probability[0, :, 0], ticks, atol=1e-6)  # to the right
    assert torch.allclose(probability[:, 0, 1], ticks.flip(0), atol=1e-6)  # upwards


def test_snapshots_show_reconstructions_and_codes():
    data = images()
    torch.manual_seed(0)
    two, three = (VAE(data.spec, z_dim=z, **SMALL).eval() for z in (2, 3))
    assert set(snapshot(two, data)) == {"samples", "reconstructions", "interpolation", "latent_grid"}
    assert "latent_grid" not in snapshot(three, data)
    assert snapshot(two, data)["interpolation"].shape == (8 * 29 + 1, 10 * 29 + 1, 3)
