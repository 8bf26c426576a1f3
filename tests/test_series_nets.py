"""Nets for series: shapes at any length, gradients, learning, causality, second derivatives, choice by name."""

import math
from collections.abc import Callable

import pytest
import torch
from conftest import config, models_of, trainer, waves, with_few_steps
from torch import Tensor, nn

from genlab.config import build
from genlab.config.signature import target_of
from genlab.data.base import Dataset, Split
from genlab.data.fields import Field, numeric
from genlab.data.pairs import Pairs
from genlab.errors import UserError
from genlab.models.base import Reconstructor, Sampler, Translator
from genlab.networks import conv1d, recurrent, tcn, transformer, unet1d
from genlab.networks.choice import decoder, encoder
from genlab.networks.denoisers import denoiser
from genlab.networks.diffwave import DiffWave
from genlab.networks.resnet import patches, translator
from genlab.networks.table import TABLE, pick
from genlab.networks.transformer import TransformerDenoiser
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

SHAPES = [(1, 4), (3, 5), (2, 12), (3, 13), (1, 17), (2, 31)]
CLASSES, Z = 3, 6
WIDTH = 8
Made = tuple[nn.Module, tuple[Tensor, ...], tuple[int, ...]]  # a net, inputs for it, the shape of its output


def nets_of(role: str) -> list[str]:
    """Returns the nets of a role that only exist for series."""
    return [net for net in TABLE[role, "sequence"] if net not in ("mlp", "realnvp")]


def made(role: str, net: str, shape: tuple[int, int], width: int = WIDTH) -> Made:
    """Returns a narrow net of a role, a batch of inputs for it, and the shape of its output."""
    torch.manual_seed(0)
    x = torch.randn(4, *shape)
    if role == "decoder":
        return decoder(Z, shape, net, width=width), (torch.randn(4, Z),), (4, *shape)
    if role == "encoder":
        return encoder(shape, (Z,), net, width=width), (x,), (4, Z)
    if role == "denoiser":
        y = torch.arange(4) % (CLASSES + 1)
        return denoiser(shape, CLASSES, net, width=width), (x, torch.rand(4), y), (4, *shape)
    return translator(shape, net, width=width), (x,), (4, *shape)


ROLES = ("decoder", "encoder", "denoiser", "translator")
NETS = [(role, net) for role in ROLES for net in nets_of(role)]
nets = pytest.mark.parametrize(("role", "net"), NETS)


def shaken(net: nn.Module) -> nn.Module:
    """Returns the net with moved weights, so that no layer is 0."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return net


@nets
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_net_takes_series_of_any_length_and_uses_all_its_weights(role, net, shape):
    module, inputs, expected = made(role, net, shape)
    shaken(module)
    out = module(*inputs)
    assert out.shape == expected
    # Raises if a weight is unused; beyond that, every weight of a net whose last layer is not 0 has a gradient.
    gradients = torch.autograd.grad(out.square().sum(), list(module.parameters()))
    assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in gradients)


@nets
def test_a_net_can_learn_a_few_series_by_heart(role, net):
    module, inputs, shape = made(role, net, (2, 9), width=16)
    goal = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    losses = []
    for _ in range(150):
        loss = (module(*inputs) - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-10:]) < 0.3 * losses[0]


@pytest.mark.parametrize("net", nets_of("encoder"))
def test_an_encoder_without_outputs_returns_one_number_and_has_features(net):
    module = encoder((2, 12), (), net, width=WIDTH)
    x = torch.randn(5, 2, 12)
    assert module(x).shape == (5,)
    features = module.features(x)  # type: ignore[operator]
    assert features.shape[0] == 5
    last = module.layers[-1] if net == "conv1d" else module.last  # type: ignore[index]
    torch.testing.assert_close(last(features).squeeze(1), module(x))  # type: ignore[operator]


@pytest.mark.parametrize("net", nets_of("encoder"))
def test_encoders_can_be_differentiated_twice(net):
    """A gradient penalty needs this, and `gradgradcheck` compares it with finite differences."""
    torch.manual_seed(0)
    module = encoder((2, 5), (), net, width=4, layers=1, activation="silu").double()
    x = torch.randn(2, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(module, (x,))


@pytest.mark.parametrize("net", nets_of("encoder"))
def test_spectral_norm_is_one_in_every_layer_of_an_encoder(net):
    torch.manual_seed(0)
    module = encoder((2, 12), (), net, width=WIDTH, spectral=True)
    for _ in range(100):
        module(torch.randn(2, 2, 12))
    weights = [m.weight for m in module.modules() if isinstance(m, (nn.Linear, nn.Conv1d))]
    assert len(weights) > 1
    for weight in weights:
        assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
@pytest.mark.parametrize("norm", ["auto", "none", "batch", "layer"])
def test_convolutional_nets_have_norms_and_activations(norm, activation):
    module = encoder((2, 12), (3,), "conv1d", width=4, norm=norm, activation=activation)
    assert module(torch.randn(4, 2, 12)).shape == (4, 3)
    assert any(isinstance(m, nn.BatchNorm1d) for m in module.modules()) == (norm == "batch")
    module = decoder(3, (2, 12), "conv1d", width=4, norm=norm, activation=activation, dense=True)
    assert module(torch.randn(4, 3)).shape == (4, 2, 12)


# What a net sees


def depends(net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Returns which steps of the output (B, C, T) depend on which steps of x (B, C, T): (T_out, T_in) bool."""
    x = x.requires_grad_()
    out = net(x)
    rows = [torch.autograd.grad(out[..., t].sum(), x, retain_graph=True)[0] for t in range(out.shape[2])]
    return torch.stack([row.abs().sum((0, 1)) > 0 for row in rows])


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_a_tcn_is_causal_and_its_last_step_sees_the_whole_series(norm):
    for steps in (5, 12, 24):
        torch.manual_seed(0)
        module = tcn.TCN((2, steps), (), 8, activation="silu", norm=norm)
        seen = depends(module.blocks, torch.randn(1, 2, steps))
        assert not seen.triu(1).any()
        assert seen[-1].all()
    assert (tcn.blocks_for(24), tcn.blocks_for(29), tcn.blocks_for(30), tcn.blocks_for(128)) == (3, 3, 4, 6)
    assert not depends(tcn.TCN((2, 24), (), 8, 2, "silu").blocks, torch.randn(1, 2, 24))[-1].all()


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrent_layers_see_the_past_or_both_ways(cell):
    torch.manual_seed(0)
    one, both = (recurrent.Recurrent(cell, 2, 6, 2, way) for way in (False, True))
    x = torch.randn(1, 2, 7)
    assert torch.equal(depends(lambda x: one(x.permute(2, 0, 1)).permute(1, 2, 0), x), torch.ones(7, 7).tril().bool())
    assert depends(lambda x: both(x.permute(2, 0, 1)).permute(1, 2, 0), x).all()


@pytest.mark.parametrize(
    "net", [DiffWave((2, 24), 0, 8), unet1d.UNet1d((2, 24), 0, 8, 0.0, False), TransformerDenoiser((2, 24), 0, 8)]
)
def test_a_denoiser_sees_the_whole_series_from_every_step(net):
    torch.manual_seed(0)
    shaken(net.double())  # far from a step, a convolution's influence is small
    assert depends(lambda x: net(x, torch.full((1,), 0.3).double()), torch.randn(1, 2, 24).double()).all()


def test_the_output_of_every_denoiser_is_0_at_first_and_depends_on_time_and_class():
    for net in nets_of("denoiser"):
        module, (x, t, y), _ = made("denoiser", net, (2, 12))
        assert module(x, t, y).abs().max() == 0
        shaken(module)
        assert not torch.equal(module(x, t, y), module(x, 1 - t, y))
        assert not torch.equal(module(x, t, y), module(x, t, (y + 1) % (CLASSES + 1)))


def test_a_translator_is_the_identity_at_first_and_a_judge_returns_a_logit_for_each_part():
    x = torch.randn(3, 2, 13)
    assert torch.equal(translator((2, 13))(x), x)
    assert patches((2, 13))(x).shape == (3, 7)


@pytest.mark.parametrize(("cell", "reference"), [("gru", nn.GRU), ("lstm", nn.LSTM)])
@pytest.mark.parametrize("both", [False, True])
def test_recurrent_layers_agree_with_torch(cell, reference, both):
    torch.manual_seed(0)
    own, other = recurrent.Recurrent(cell, 3, 5, 2, both), reference(3, 5, 2, bidirectional=both)
    # torch's LSTM has the gates in the order i, f, g, o, ours i, f, o, g.
    order = torch.tensor([0, 1, 3, 2] if cell == "lstm" else [0, 1, 2])
    with torch.no_grad():
        for i, (there, back) in enumerate(zip(own.forwards, own.backwards or own.forwards, strict=True)):
            for layer, suffix in ((there, ""), *([(back, "_reverse")] if both else [])):
                for part, name in ((layer.first, "ih"), (layer.again, "hh")):  # type: ignore[attr-defined]
                    for kind in ("weight", "bias"):
                        value = getattr(other, f"{kind}_{name}_l{i}{suffix}").unflatten(0, (len(order), -1))
                        getattr(part, kind).copy_(value[order].flatten(0, 1))
    x = torch.randn(7, 4, 3)
    torch.testing.assert_close(own(x), other(x)[0])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_decoder_may_see_the_code_as_the_initial_state(cell):
    torch.manual_seed(0)
    module = recurrent.RecurrentDecoder(Z, (2, 9), cell, 8, 2, "state")
    z = torch.randn(3, Z)
    assert module(z).shape == (3, 2, 9)
    assert not torch.equal(module(z)[0], module(z)[1])
    with pytest.raises(UserError, match="code: 'states' is none of repeat, state; did you mean 'state'"):
        recurrent.RecurrentDecoder(Z, (2, 9), cell, 8, 2, "states")


def test_lengths_halve_and_are_rounded_up():
    assert conv1d.lengths(24) == [24, 12, 6]
    assert conv1d.lengths(13) == [13, 7, 4]
    assert conv1d.lengths(3) == [3, 2]
    assert conv1d.lengths(128) == [128, 64, 32]
    assert conv1d.lengths(129) == [129, 65, 33, 17]
    assert conv1d.lengths(1000) == [1000, 500, 250, 125, 63]
    assert conv1d.lengths(24, 3) == [24, 12, 6, 3]
    assert conv1d.lengths(24, 1) == [24, 12]
    assert [unet1d.halvings(steps) for steps in (4, 8, 9, 13, 24, 128, 1000)] == [0, 0, 1, 1, 2, 3, 3]
    with pytest.raises(UserError, match="layers: must be >= 1 and <= 3, got 4"):
        conv1d.lengths(8, 4)


def test_a_transformer_has_as_many_heads_as_its_width_allows():
    assert [transformer.Block(width).heads for width in (8, 16, 32, 37, 50, 64, 96, 256)] == [1, 1, 2, 1, 2, 4, 6, 8]


# The choice by name


@pytest.mark.parametrize(
    ("role", "first"),
    [
        ("decoder", "conv1d"),
        ("encoder", "conv1d"),
        ("denoiser", "unet1d"),
        ("translator", "resnet1d"),
        ("flow", "realnvp1d"),
    ],
)
def test_auto_picks_a_net_for_series(role, first):
    assert pick(role, "auto", (3, 24)) == first
    assert pick("denoiser", "auto", (3, 3)) == "diffwave"


@pytest.mark.parametrize(
    ("build_net", "message"),
    [
        (lambda: denoiser((3, 3), net="unet1d"), r"net: unet1d needs series of 4 or more steps, not samples of shape"),
        (lambda: encoder((2,), (), "tcn"), r"net: tcn needs series, not samples of shape \(2,\); use auto"),
        (lambda: decoder(4, (1, 28, 28), "gru"), r"net: gru needs series, not samples of shape \(1, 28, 28\)"),
        (lambda: encoder((2, 12), (), "dcgan"), "net: dcgan needs square images"),
        (lambda: encoder((2, 12), (), "gru", norm="batch"), "norm: 'batch' is none of auto, none"),
        (lambda: encoder((2, 12), (), "tcn", norm="batch"), "norm: 'batch' is none of auto, none, layer"),
        (lambda: encoder((2, 12), (), "lstm", layers=0), "layers: must be >= 1, got 0"),
        (lambda: denoiser((2, 12), width=12), "width: must be a multiple of 8"),
        (lambda: encoder((2, 12), (), "tnc"), "did you mean 'tcn'"),
    ],
)
def test_a_net_that_does_not_fit_is_refused_in_one_line(build_net, message):
    with pytest.raises(UserError, match=message) as caught:
        build_net()
    assert "\n" not in str(caught.value)


BY_NAME = [
    *[("ddpm", (f"model.net.net={net}",)) for net in nets_of("denoiser")],
    ("flow_matching", ("model.net.attention=false",)),
    *[("vae", (f"model.decoder.net={net}", "model.decoder.layers=2")) for net in nets_of("decoder")],
    ("vae", ("model.decoder.net=lstm", "model.decoder.code=state")),
    ("vae", ("model.decoder.dense=true",)),
    *[("wgan_gp", (f"model.critic.net={net}", "model.critic.layers=1")) for net in nets_of("encoder")],
    *[("gan", (f"model.discriminator.net={net}", "model.r1=1", "model.discriminator.spectral=true"))
      for net in nets_of("encoder")],
    ("gan", ("model.feature_matching=true", "model.discriminator.net=tcn")),
    ("cyclegan", ("model.generator.net=resnet1d", "model.discriminator.net=mlp")),
    ("flow", ("model.architecture=realnvp1d", "model.coupling=spline")),
    ("flow", ("model.architecture=realnvp",)),
]  # fmt: skip


@pytest.mark.parametrize(("model", "overrides"), BY_NAME, ids=str)
def test_every_net_trains_by_its_name_in_the_config(model, overrides):
    data = waves(steps=8) if model != "cyclegan" else Pairs(waves(steps=8))
    composed = config(f"model={model}", *overrides)
    torch.manual_seed(0)
    family = build.family(composed, data.spec)
    options = Options(steps=2, batch_size=8, device="cpu", log_every=0, evaluate_every=0, sample_every=0)
    Trainer(family, data, build.optimizers(composed), options).fit()
    assert all(p.isfinite().all() for p in family.parameters())


def test_a_flow_of_another_layout_is_refused():
    data = waves()
    with pytest.raises(UserError, match="architecture: glow cannot halve"):
        build.family(config("model=flow", "model.architecture=glow"), data.spec)
    with pytest.raises(UserError, match="architecture: realnvp1d needs series of 2 or more steps"):
        build.family(config("model=flow", "model.architecture=realnvp1d"), type(data.spec)((2,)))


# Series with classes


def classed(n: int = 60) -> Dataset:
    """Returns series (1, 12) that stay near the number of their class, with three classes."""
    g = torch.Generator().manual_seed(0)

    def split(size: int) -> Split:
        y = torch.arange(size) % 3
        return Split(y[:, None, None] + 0.1 * torch.randn(size, 1, 12, generator=g), y)

    return Dataset("classed", {"train": split(n), "validation": split(12), "test": split(12)}, "real", classes=3)


@pytest.mark.parametrize("overrides", [(), ("model.packing=2", "model.minibatch=4")], ids=["plain", "packed"])
def test_a_conditional_gan_on_series_draws_one_class(overrides):
    data = classed()
    composed = config("model=gan", "model.conditional=true", *overrides)
    torch.manual_seed(0)
    family = build.family(composed, data.spec)
    options = Options(steps=3, batch_size=8, device="cpu", log_every=0, evaluate_every=0, sample_every=0)
    Trainer(family, data, build.optimizers(composed), options).fit()
    assert isinstance(family, Sampler)
    assert family.eval().sample(4, torch.tensor([0, 1, 2, 0])).shape == (4, 1, 12)


@pytest.mark.parametrize("net", nets_of("denoiser"))
def test_a_conditional_denoiser_learns_the_class_of_series(net):
    data = classed()
    composed = config("model=ddpm", "model.conditional=true", "model.prediction=v", "model.schedule=cosine")
    composed.model.net.net = net
    torch.manual_seed(0)
    family = build.family(composed, data.spec)
    options = Options(steps=120, batch_size=30, device="cpu", log_every=0, evaluate_every=0, sample_every=0, ema=0.9)
    t = Trainer(family, data, build.optimizers(composed), options)
    t.fit()
    assert t.ema is not None
    model = t.ema.model
    assert isinstance(model, Sampler)
    torch.manual_seed(0)
    with torch.no_grad():
        means = torch.stack([model.sample(20, torch.full((20,), k)).mean() for k in range(3)])
    torch.testing.assert_close(means, torch.tensor([0.0, 1.0, 2.0]), atol=0.3, rtol=0)


# Series of words and numbers

K = 3
FIELDS = (numeric("size", 10.0, 2.0), Field("colour", "category", K, labels=("red", "green", "blue")))


def mixed(n: int = 64, steps: int = 6) -> Dataset:
    """Returns series (1 + K, steps): a random walk, and a word that says whether it rises, falls or stays."""
    g = torch.Generator().manual_seed(0)

    def split(size: int) -> Split:
        moves = torch.randint(K, (size, steps), generator=g)
        words = torch.eye(K)[moves].transpose(1, 2)
        return Split(torch.cat([(moves - 1.0).cumsum(1)[:, None] / math.sqrt(steps), words], dim=1))

    return Dataset("mixed", {"train": split(n), "validation": split(16), "test": split(16)}, FIELDS)


@pytest.mark.parametrize("model", models_of("series"))
def test_every_family_trains_on_series_of_words_and_numbers(model):
    domains = target_of(config(f"model={model}").model, "model").domains
    data = mixed() if domains == 1 else Pairs(mixed())
    t = trainer(model, data, steps=3)
    t.fit()
    assert all(p.isfinite().all() for p in t.family.parameters())
    family = with_few_steps(t.family)
    with torch.no_grad():
        if isinstance(family, Sampler):
            x = data.decode(family.sample(7))
        elif isinstance(family, Translator):
            x = data.decode(family.translate(data.head("test", 7)["x"]))
        else:
            assert isinstance(family, Reconstructor)
            x = data.decode(family.reconstruct(data.head("test", 7)["x"]))
    assert x.shape == (7, 1 + K, 6)
    assert torch.equal(x[:, 1:].sum(1), torch.ones(7, 6, dtype=x.dtype))
    assert torch.equal(x[:, 1:].amax(1), torch.ones(7, 6, dtype=x.dtype))
