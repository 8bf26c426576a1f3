"""The losses of the GAN and WGAN families against closed forms."""

import pytest
import torch
from conftest import trainer
from torch import nn
from torch.nn import functional as F

from genlab.data.base import Spec
from genlab.data.gaussian2d import Gaussian2D
from genlab.errors import UserError
from genlab.models.gan import LOSSES, discriminator_loss, generator_loss
from genlab.models.wgan import WGAN, WGANGP
from genlab.networks.choice import encoder

REAL, FAKE = torch.tensor([0.3, -1.2, 2.0]), torch.tensor([-0.5, 0.7, -3.0])
PLANE = Spec((2,))


def test_gan_losses_match_their_closed_forms():
    def bce(logits, target):
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))

    expected = {
        "non_saturating": (bce(REAL, 1.0) + bce(FAKE, 0.0), bce(FAKE, 1.0)),
        "minimax": (bce(REAL, 1.0) + bce(FAKE, 0.0), -bce(FAKE, 0.0)),
        "lsgan": (0.5 * F.mse_loss(REAL, torch.ones(3)) + 0.5 * F.mse_loss(FAKE, torch.zeros(3)), None),
        "hinge": ((0.7 + 2.2 + 0.0) / 3 + torch.tensor((0.5 + 1.7 + 0.0) / 3), -FAKE.mean()),
    }
    expected["lsgan"] = (expected["lsgan"][0], 0.5 * F.mse_loss(FAKE, torch.ones(3)))
    assert set(expected) == set(LOSSES)
    for kind, (discriminator, generator) in expected.items():
        assert torch.allclose(discriminator_loss(kind, REAL, FAKE), discriminator), kind
        assert torch.allclose(generator_loss(kind, FAKE), generator), kind


class Linear(nn.Module):
    """f(x) = w · x: its gradient is w everywhere."""

    def __init__(self, *w: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))

    def forward(self, x):
        return x @ self.w


def test_the_gradient_penalty_of_a_linear_critic_is_exact_and_differentiable():
    family = WGANGP(PLANE, critic=lambda shape, outputs: Linear(3.0, 4.0))
    penalty = family.gradient_penalty(torch.randn(7, 2))
    assert penalty.item() == pytest.approx(16.0)  # (|w| - 1)² with |w| = 5
    penalty.backward()
    # d (|w| - 1)² / dw = 2 (|w| - 1) w / |w|: the penalty can be differentiated again.
    gradient = family.get_parameter("critic.w").grad
    assert gradient is not None
    assert torch.allclose(gradient, 8 * torch.tensor([0.6, 0.8]))


def test_the_gradient_penalty_matches_per_sample_gradients():
    torch.manual_seed(0)
    family, x = WGANGP(PLANE), torch.randn(5, 2)
    by_hand = torch.stack([torch.func.grad(lambda p: family.critic(p[None]).sum())(point) for point in x])
    assert torch.allclose(family.gradient_penalty(x), (by_hand.norm(dim=1) - 1).square().mean(), atol=1e-6)


def test_the_critic_loss_is_minus_the_distance_plus_the_weighted_penalty():
    family = WGANGP(PLANE, gp_weight=10.0, critic=lambda shape, outputs: Linear(0.0, 2.0))
    x = torch.tensor([[0.0, 1.0], [5.0, 3.0]])
    torch.manual_seed(0)
    fake = family.sample(2)
    torch.manual_seed(0)
    out = family.critic_loss({"x": x})
    distance = 4.0 - 2 * fake[:, 1].mean()
    assert torch.allclose(out.logs["wasserstein"], distance)
    assert out.logs["penalty"].item() == pytest.approx(1.0)
    assert torch.allclose(out.loss, -distance + 10.0)


def test_penalty_points_lie_between_real_and_fake_samples():
    seen = []
    family = WGANGP(PLANE, critic=lambda shape, outputs: Linear(1.0, 0.0))
    family.sample = lambda n, y=None, given=None: torch.full((n, 2), 10.0)  # type: ignore[method-assign]
    family.gradient_penalty = lambda x: seen.append(x) or x.sum() * 0  # type: ignore[method-assign,func-returns-value]
    torch.manual_seed(0)
    family.critic_loss({"x": torch.zeros(500, 2)})
    (points,) = seen
    assert torch.equal(points[:, 0], points[:, 1])  # on the line from real to fake
    share = points[:, 0] / 10
    assert 0 <= share.min() < 0.05
    assert 0.95 < share.max() <= 1
    assert share.mean().item() == pytest.approx(0.5, abs=0.05)  # ε is uniform; standard error 0.013


def test_weights_are_clipped_after_each_critic_update():
    t = trainer("wgan", Gaussian2D(n=50))
    family = t.family
    assert isinstance(family, WGAN)
    before = [p.abs().max().item() for p in family.critic.parameters()]
    t.train_step()
    after = [p.abs().max().item() for p in family.critic.parameters()]
    assert max(before) > family.clip
    assert max(after) == pytest.approx(family.clip)


def test_the_critic_is_updated_n_critic_times_per_step():
    t = trainer("wgan_gp", Gaussian2D(n=50))
    phases = {phase.name: phase.repeats for phase in t.phases}
    assert isinstance(t.family, WGANGP)
    assert phases == {"critic": t.family.n_critic, "generator": 1}


def test_a_critic_with_batch_norm_is_refused():
    with pytest.raises(UserError, match="forbids BatchNorm"):
        WGANGP(PLANE, critic=lambda shape, outputs: encoder(shape, outputs, norm="batch"))
