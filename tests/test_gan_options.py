"""Each option of `gan` does what its paper says, and resumes exactly."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genlab.commands.sample import draw
from genlab.data.base import Spec
from genlab.data.gaussian2d import Gaussian2D
from genlab.errors import UserError
from genlab.models import stabilizers
from genlab.models.gan import GAN, discriminator_loss
from genlab.networks.choice import decoder, encoder
from genlab.networks.past_samples import PastSamples
from genlab.runs.folder import Run
from genlab.trainer import checkpoint
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options
from genlab.trainer.validate import ANNEALED

POINTS = Spec((2,), 4)
IMAGES = Spec((1, 28, 28), 10, "symmetric")
OPTIONS: dict[str, dict[str, Any]] = {
    "conditional": {"conditional": True},
    "feature_matching": {"feature_matching": True},
    "minibatch": {"minibatch": 4},
    "replay": {"replay": 24},
    "unrolled": {"unrolled": 2},
    "instance_noise": {"instance_noise": 0.5, "noise_steps": 8},
    "packing": {"packing": 2},
    "r1": {"r1": 2.0, "discriminator": partial(encoder, norm="none", hidden=(16,), width=4)},
    "spectral": {"discriminator": partial(encoder, spectral=True, hidden=(16,), width=4)},
    "unrolled_minibatch": {"unrolled": 2, "minibatch": 4},
    "many": {"conditional": True, "minibatch": 4, "replay": 24, "instance_noise": 0.5, "packing": 2},
}


def make(spec: Spec = POINTS, **options) -> GAN:
    """Returns a small GAN with the same weights each time."""
    torch.manual_seed(0)
    nets: dict[str, Any] = {
        "generator": partial(decoder, hidden=(16,), width=4),
        "discriminator": partial(encoder, hidden=(16,), width=4),
    }
    return GAN(spec, z_dim=3, **(nets | options))


def batch_of(spec: Spec, n: int = 8, step: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(1)
    y = torch.randint(spec.classes, (n,))
    return {"x": torch.randn(n, *spec.shape).clamp(-1, 1), "y": y, "step": torch.tensor(step)}


def gradient(family: GAN, batch: dict[str, Tensor]) -> Tensor:
    """Returns the gradient of the generator's loss as one vector, with the same noise each time."""
    torch.manual_seed(2)
    loss = family.generator_loss(batch).loss
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(family.generator.parameters()))])


@pytest.mark.parametrize("option", OPTIONS)
def test_resume_is_exact(option, tmp_path):
    """5 + 5 steps equal 10 steps bit for bit, for the family, its averaged copy and all buffers."""
    data = Gaussian2D("ring", n=64)

    def trainer() -> Trainer:
        family = make(data.spec, **OPTIONS[option])
        rates = {phase.name: partial(torch.optim.Adam, lr=1e-2) for phase in family.phases()}
        return Trainer(family, data, rates, Options(batch_size=16, steps=10, device="cpu"))

    whole, first, second = trainer(), trainer(), trainer()
    for _ in range(10):
        whole.train_step()
    for _ in range(5):
        first.train_step()
    checkpoint.write(tmp_path / "last.pt", first.state_dict())
    second.load_state_dict(checkpoint.read(tmp_path / "last.pt"))
    for _ in range(5):
        second.train_step()
    a, b = whole.state_dict(), second.state_dict()
    for part in ("family", "ema"):
        assert all(torch.equal(a[part][key], b[part][key]) for key in a[part])
    assert not torch.equal(
        a["family"]["generator.layers.0.weight"], first.family.state_dict()["generator.layers.0.weight"]
    )


@pytest.mark.parametrize("spec", [POINTS, IMAGES], ids=["points", "images"])
@pytest.mark.parametrize("option", OPTIONS)
def test_validation_changes_no_state(option, spec):
    """In eval mode both losses are finite and leave every parameter and buffer (pool, u and v, means) unchanged."""
    family = make(spec, **OPTIONS[option])
    family.rules = {"discriminator": stabilizers.Descent(0.01)}  # stands in for the trainer's
    batch = batch_of(spec, 9, ANNEALED)  # 9: the last pack of two has to be filled up
    before = copy.deepcopy(family.eval()).state_dict()
    with torch.no_grad():
        losses = [phase.loss(batch).loss for phase in family.phases()]
        assert family.score(batch["x"]).shape == (9,)
    assert torch.stack(losses).isfinite().all()
    assert all(torch.equal(before[key], value) for key, value in family.state_dict().items())


@pytest.mark.parametrize("spec", [POINTS, IMAGES], ids=["points", "images"])
def test_conditional_samples_depend_on_the_class(spec):
    family = make(spec, conditional=True).eval()

    def sample(y: Tensor | None) -> Tensor:
        torch.manual_seed(3)  # the same noise each time
        return family.sample(4, y)

    zeros, ones = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    assert torch.equal(sample(zeros), sample(zeros))
    assert not torch.allclose(sample(zeros), sample(ones))
    x = sample(zeros)
    assert not torch.allclose(family.discriminator(x, zeros), family.discriminator(x, ones))
    logits = torch.stack([family.discriminator(x, torch.full((4,), y)) for y in range(spec.classes)])
    assert torch.allclose(family.score(x), logits.mean(0), atol=1e-6)


def test_labels_are_drawn_uniformly_without_class_counts():
    torch.manual_seed(0)
    counts = make(conditional=True).fake_labels(4000).bincount(minlength=4)
    assert (counts - 1000).abs().max() < 5 * (4000 * 0.25 * 0.75) ** 0.5  # five standard deviations


def test_a_conditional_gan_needs_labels():
    with pytest.raises(UserError, match="no labels"):
        make(Spec((2,)), conditional=True)


def test_the_sample_command_accepts_a_class(tmp_path):
    family, run = make(conditional=True).eval(), Run(tmp_path)
    arrays = draw(family, 10, run, "each")
    assert arrays["labels"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert arrays["samples"].shape == (10, 2)
    assert draw(family, 3, run, 2)["labels"].tolist() == [2, 2, 2]
    assert "labels" not in draw(make(), 3, run)
    with pytest.raises(UserError, match="0 to 3"):
        draw(family, 3, run, 4)
    with pytest.raises(UserError, match="without labels"):
        draw(make(), 3, run, 1)


@pytest.mark.parametrize("net", ["mlp", "dcgan"])
def test_spectral_norm_is_one_in_every_layer(net):
    """After enough power iterations the largest singular value of each layer's matrix is 1."""
    torch.manual_seed(0)
    judge = encoder((1, 28, 28), (), net, hidden=(16, 16), width=4, spectral=True)
    for _ in range(200):
        judge(torch.zeros(2, 1, 28, 28))
    layers = [m for m in judge.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    assert len(layers) == 3
    for layer in layers:
        top = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
        assert top == pytest.approx(1.0, abs=1e-3)  # accuracy after 200 iterations
    assert not any(isinstance(m, nn.BatchNorm2d) for m in judge.modules())


def test_minibatch_discrimination_matches_the_paper():
    torch.manual_seed(0)
    layer = stabilizers.MinibatchDiscrimination(6, 3)
    h = torch.randn(5, 6)
    o = layer(h)
    m = (h @ layer.weight).view(5, 3, stabilizers.KERNEL)
    for i in range(5):
        for b in range(3):
            terms = [(-(m[i, b] - m[j, b]).abs().sum()).exp() for j in range(5)]
            assert torch.allclose(o[i, b], torch.stack(terms).mean(), atol=1e-6)
    assert torch.allclose(layer(h[:1].expand(5, -1)), torch.ones(5, 3))  # a collapsed batch: all samples are alike


def test_minibatch_discrimination_scores_each_point_separately_in_eval_mode():
    family = make(minibatch=4)
    family.discriminator_loss(batch_of(POINTS))  # gives the mean a value
    family.eval()
    assert (family.discriminator.closeness.mean > 0).all()
    x = batch_of(POINTS)["x"]
    assert torch.allclose(family.score(x)[:1], family.score(x[:1]), atol=1e-6)


def test_feature_matching_is_zero_only_if_the_means_agree():
    torch.manual_seed(0)
    real = torch.randn(6, 5)
    spread = torch.randn(6, 5)
    fake = real.mean(0) + spread - spread.mean(0)  # other samples with the same mean
    assert stabilizers.feature_matching(real, fake).item() == pytest.approx(0, abs=1e-12)
    assert stabilizers.feature_matching(real, fake + 0.5).item() == pytest.approx(5 * 0.25, rel=1e-5)


@pytest.mark.parametrize("spec", [POINTS, IMAGES], ids=["points", "images"])
def test_feature_matching_uses_the_input_of_the_last_layer(spec):
    family, batch = make(spec, feature_matching=True).eval(), batch_of(spec)
    net: Any = family.discriminator.net
    x, last = batch["x"], net.layers[-1]
    seen = net.features(x)
    assert torch.allclose(seen @ last.weight.flatten(1).T + last.bias, net(x)[:, None], atol=1e-5)
    torch.manual_seed(2)
    loss = family.generator_loss(batch).loss
    torch.manual_seed(2)
    assert loss == stabilizers.feature_matching(seen, net.features(family.sample(8)))


def test_past_samples_keep_their_labels():
    """Each sample's value and label are its number, so that it can be traced."""
    torch.manual_seed(0)
    pool, seen, old = PastSamples((1,), 8, labelled=True), set(), 0
    for number in range(20):
        y = torch.arange(10 * number, 10 * number + 6)
        x, labels = pool(y[:, None].float(), y)
        assert labels is not None
        assert torch.equal(x[:, 0].long(), labels)
        assert torch.equal(pool.stored[:, 0].long(), pool.labels)
        seen |= set(y.tolist())
        assert set(labels.tolist()) <= seen
        old += sum(label < 10 * number for label in labels.tolist())
    assert 30 < old < 80  # of 112 swaps at even odds, some with a sample of the same batch


def test_pool_reads_the_buffers_of_older_checkpoints():
    pool, filled = PastSamples((2,), 4, labelled=True), torch.randn(4, 2)
    pool.load_state_dict({"x": filled, "y": torch.arange(4), "count": torch.tensor(4)})
    assert torch.equal(pool.stored, filled)
    assert pool.labels.tolist() == [0, 1, 2, 3]


def test_unrolling_matches_steps_done_by_hand():
    """D(x) = w x, L_D = ½ (w a - 1)² + ½ (w b)²: two steps, and G's gradient ∂/∂b ½ (w₂ b - 1)², in float64."""
    net = nn.Linear(1, 1, bias=False).double()
    a, b = torch.tensor([[0.7]]).double(), torch.tensor([[-1.3]]).double().requires_grad_()
    w0, rate = net.weight.item(), 0.1
    rule = stabilizers.Descent(rate)
    judge = stabilizers.unroll(net, lambda d: 0.5 * ((d(a) - 1) ** 2 + d(b) ** 2).sum(), 2, rule)
    (gradient,) = torch.autograd.grad((0.5 * (judge(b) - 1) ** 2).sum(), b)

    def step(w: float, dw: float) -> tuple[float, float]:  # w and dw/db after one more step
        a_, b_ = a.item(), b.item()
        return w - rate * ((w * a_ - 1) * a_ + w * b_**2), dw - rate * (dw * a_**2 + dw * b_**2 + 2 * w * b_)

    w2, dw2 = step(*step(w0, 0.0))
    assert judge(b).item() == pytest.approx(w2 * b.item(), rel=1e-12)
    assert gradient.item() == pytest.approx((w2 * b.item() - 1) * (w2 + b.item() * dw2), rel=1e-12)
    assert net.weight.item() == w0


@pytest.mark.parametrize("spec", [POINTS, IMAGES], ids=["points", "images"])
def test_unrolling_looks_ahead_without_changing_the_discriminator(spec):
    batch = batch_of(spec)
    assert torch.equal(gradient(make(spec, unrolled=0), batch), gradient(make(spec), batch))
    plain = gradient(make(spec, loss="minimax"), batch)  # minus the only term of D's loss that depends on G
    standing = gradient(make(spec, unrolled=2, unrolled_rate=0.0), batch)  # steps of length 0
    assert torch.allclose(standing, plain, rtol=1e-4, atol=1e-7)
    family = make(spec, unrolled=2, unrolled_rate=0.1)
    before = copy.deepcopy(family.discriminator.state_dict())
    assert not torch.allclose(gradient(family, batch), plain, rtol=1e-2)
    assert all(torch.equal(before[key], value) for key, value in family.discriminator.state_dict().items())


def test_the_unrolled_loss_is_that_of_a_discriminator_after_real_steps():
    """Compares with one plain SGD step on a copy of D: minus its loss, with both terms."""
    family, batch = make(unrolled=1, unrolled_rate=0.5), batch_of(POINTS)
    torch.manual_seed(2)
    loss = family.generator_loss(batch).loss
    torch.manual_seed(2)
    fake, judge = family.sample(8).detach(), copy.deepcopy(family.discriminator)
    discriminator_loss("non_saturating", judge(batch["x"]), judge(fake)).backward()
    torch.optim.SGD(judge.parameters(), lr=0.5).step()
    assert torch.allclose(loss, -discriminator_loss("non_saturating", judge(batch["x"]), judge(fake)), atol=1e-6)


def test_instance_noise_falls_linearly_to_zero():
    x, noise = torch.zeros(3), torch.ones(3)
    sigma = [stabilizers.instance_noise(x, noise, torch.tensor(t), 0.8, 100)[0].item() for t in (0, 25, 100, ANNEALED)]
    assert sigma == pytest.approx([0.8, 0.6, 0.0, 0.0], abs=1e-6)
    family, batch = make(instance_noise=0.5, noise_steps=10), batch_of(POINTS)
    torch.manual_seed(2)
    noisy = family.discriminator_loss(batch).loss
    torch.manual_seed(2)
    assert family.discriminator_loss(batch | {"step": torch.tensor(10)}).loss != noisy


@pytest.mark.parametrize("spec", [POINTS, IMAGES], ids=["points", "images"])
def test_r1_adds_half_gamma_times_the_squared_gradient_at_real_samples(spec):
    family, batch = make(spec, **OPTIONS["r1"]).eval(), batch_of(spec)
    torch.manual_seed(2)
    out = family.discriminator_loss(batch)
    family.r1 = 0.0
    torch.manual_seed(2)
    plain = family.discriminator_loss(batch)
    x = batch["x"].clone().requires_grad_()
    gradients = torch.stack([torch.autograd.grad(family.discriminator(x)[i], x)[0][i] for i in range(len(x))])
    penalty = gradients.flatten(1).norm(dim=1).square().mean()
    assert penalty > 0
    assert torch.allclose(out.logs["penalty"], penalty, rtol=1e-4)  # fp32 sums in another order
    assert torch.allclose(out.loss, plain.loss + 0.5 * 2.0 * penalty, rtol=1e-4)
    inner = torch.autograd.grad(out.loss - plain.loss, next(family.discriminator.parameters()))[0]
    assert inner.abs().max() > 0  # the penalty has a gradient in D


def test_r1_of_a_linear_discriminator_is_the_squared_norm_of_its_weight():
    net = nn.Linear(2, 1)
    penalty = stabilizers.r1(lambda x: net(x).squeeze(1), torch.randn(5, 2))
    assert torch.allclose(penalty, net.weight.square().sum())


@pytest.mark.parametrize("packing", [1, 2, 4])
def test_r1_of_packs_uses_all_samples_of_a_pack(packing):
    """D(x_1, ..., x_m) = w · (x_1, ..., x_m) has the squared gradient |w|², whatever m is."""
    net = nn.Linear(2 * packing, 1)
    x = torch.randn(8, 2)
    penalty = stabilizers.r1(lambda points: net(stabilizers.pack(points, packing)).squeeze(1), x, packing)
    assert torch.allclose(penalty, net.weight.square().sum())
    options = {"packing": packing, "r1": 2.0, "discriminator": partial(encoder, norm="none", hidden=(16,), width=4)}
    family, batch = make(POINTS, **options).eval(), batch_of(POINTS)
    out = family.discriminator_loss(batch)
    packs = batch["x"].reshape(-1, packing, 2).clone().requires_grad_()
    gradient = torch.autograd.grad(family.discriminator(packs.flatten(0, 1)).sum(), packs)[0]
    assert torch.allclose(out.logs["penalty"], gradient.flatten(1).square().sum(1).mean(), rtol=1e-4)


def test_r1_forbids_batch_norm():
    with pytest.raises(UserError, match=r"discriminator\.norm"):
        make(IMAGES, r1=1.0)


def test_packing_concatenates_successive_samples():
    x = torch.arange(24.0).view(4, 2, 3)
    packed = stabilizers.pack(x, 2)
    assert packed.shape == (2, 4, 3)
    assert torch.equal(packed[1], torch.cat([x[2], x[3]]))
    with pytest.raises(UserError, match="does not divide"):
        stabilizers.pack(x[:3], 2)
    filled = stabilizers.pack(x[:3], 2, strict=False)
    assert torch.equal(filled[1], torch.cat([x[2], x[0]]))


@pytest.mark.parametrize("spec", [POINTS, IMAGES], ids=["points", "images"])
def test_a_packed_discriminator_judges_m_samples_at_once(spec):
    family, x = make(spec, packing=4).eval(), batch_of(spec)["x"]
    logits = family.discriminator(x)
    assert logits.shape == (2,)
    other = x.clone()
    other[7] += 0.5  # the last of the second pack
    moved = family.discriminator(other)
    assert moved[0] == logits[0]
    assert moved[1] != logits[1]
    copies = x[:1].expand(4, *spec.shape)
    assert torch.allclose(family.score(x)[0], family.discriminator(copies)[0], atol=1e-6)


def test_options_out_of_range_are_refused():
    cases: list[dict[str, Any]] = [
        {"packing": 0},
        {"replay": -1},
        {"noise_steps": 0},
        {"feature_matching": True, "unrolled": 1},
    ]
    for wrong in cases:
        with pytest.raises(UserError):
            make(**wrong)
