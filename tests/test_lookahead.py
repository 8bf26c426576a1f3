"""Look-ahead steps match torch's own optimizers, and so do their derivatives, which unrolling relies on."""

import copy
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer, RMSprop

from genlab.data.base import Spec
from genlab.data.gaussian2d import Gaussian2D
from genlab.errors import UserError
from genlab.models import stabilizers
from genlab.models.gan import GAN, discriminator_loss
from genlab.networks.choice import decoder, encoder
from genlab.trainer.lookahead import Lookahead
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

RULES: dict[str, Any] = {
    "adam": partial(Adam, lr=0.05, betas=(0.5, 0.9)),
    "adam_without_mean": partial(Adam, lr=0.05, betas=(0.0, 0.9), weight_decay=0.1),
    "adamw": partial(AdamW, lr=0.05, weight_decay=0.1, maximize=True),
    "adam_decoupled": partial(Adam, lr=0.05, weight_decay=0.1, decoupled_weight_decay=True),
    "rmsprop": partial(RMSprop, lr=0.01),
    "sgd": partial(SGD, lr=0.05),
    "sgd_momentum": partial(SGD, lr=0.05, momentum=0.8, dampening=0.3),
    "sgd_nesterov": partial(SGD, lr=0.05, momentum=0.8, nesterov=True),
}


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()


def loss_of(judge, x: Tensor) -> Tensor:
    return (judge(x) - x.sum(1, keepdim=True).sin()).square().mean()


def take_real_steps(make, x: Tensor, before: int, steps: int, limit: float = 0.0) -> tuple[nn.Module, Optimizer]:
    """Returns the net after `before` real steps at fixed points and `steps` more at x, and torch's optimizer for it."""
    judge, fixed = net(), torch.randn(4, 2, generator=torch.Generator().manual_seed(1)).double()
    optimizer = make(judge.parameters())
    for points in [fixed] * before + [x] * steps:
        optimizer.zero_grad()
        loss_of(judge, points).backward()
        if limit:
            nn.utils.clip_grad_norm_(judge.parameters(), limit)
        optimizer.step()
    return judge, optimizer


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("limit", [0.0, 0.2], ids=["free", "clipped"])
@pytest.mark.parametrize("rule", RULES)
def test_look_ahead_steps_and_their_derivatives_match_the_optimizer(rule, limit, before):
    """Compares with torch's own steps, and ∂/∂x of the final loss with central differences through them, in float64."""
    torch.manual_seed(2)
    x = torch.randn(5, 2).double()
    judge, optimizer = take_real_steps(RULES[rule], x, before, 0, limit)
    weights = copy.deepcopy(judge.state_dict())
    lookahead = Lookahead(optimizer, "optimizer.discriminator", limit)
    lookahead.read()
    x.requires_grad_()
    foreseen = stabilizers.unroll(judge, lambda d: loss_of(d, x), 3, lookahead)
    after, _ = take_real_steps(RULES[rule], x.detach(), before, 3, limit)
    assert torch.allclose(foreseen(x), after(x), rtol=1e-9)
    assert all(torch.equal(weights[name], value) for name, value in judge.state_dict().items())

    (gradient,) = torch.autograd.grad(loss_of(foreseen, x), x)
    direction, h = torch.randn(5, 2).double(), 1e-5
    ends = [x.detach() + sign * h * direction for sign in (1, -1)]
    up, down = (loss_of(take_real_steps(RULES[rule], points, before, 3, limit)[0], points).item() for points in ends)
    assert (gradient * direction).sum().item() == pytest.approx((up - down) / (2 * h), rel=1e-5)


def test_inactive_weights_have_finite_derivatives():
    """An inactive ReLU has gradients and second moments of 0, where the slope of the root is infinite."""
    off, x = nn.Linear(1, 1), torch.ones(2, 1, requires_grad=True)
    nn.init.constant_(off.bias, -9.0)
    judge = nn.Sequential(off, nn.ReLU(), nn.Linear(1, 1))
    lookahead = Lookahead(Adam(judge.parameters()), "optimizer.discriminator")
    lookahead.read()
    foreseen = stabilizers.unroll(judge, lambda d: (d(x) - x).square().mean(), 2, lookahead)
    (gradient,) = torch.autograd.grad((foreseen(x) - x).square().mean(), x)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_optimizers_that_cannot_look_ahead_are_refused():
    weight = [nn.Parameter(torch.zeros(1))]
    with pytest.raises(UserError, match=r"optimizer\.d: model\.unrolled does not support LBFGS; use Adam, AdamW"):
        Lookahead(LBFGS(weight), "optimizer.d")
    with pytest.raises(UserError, match=r"optimizer\.d\.amsgrad"):
        Lookahead(Adam(weight, amsgrad=True), "optimizer.d")
    family = GAN(Spec((2,)), unrolled=1)
    with pytest.raises(UserError, match=r"model\.unrolled_rate"):
        family.generator_loss({"x": torch.zeros(4, 2), "step": torch.tensor(0)})


def small(**options: Any) -> GAN:
    torch.manual_seed(0)
    nets = partial(decoder, hidden=(8,)), partial(encoder, hidden=(8,), activation="tanh")
    return GAN(Spec((2,)), z_dim=2, generator=nets[0], discriminator=nets[1], **options)


@contextmanager
def double():
    """Makes new tensors float64, and `.float()` too, so that losses stay in float64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "float", Tensor.double)
        torch.set_default_dtype(torch.float64)
        yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("r1", [0.0, 1.0])
def test_the_unrolled_gradient_matches_differences_through_real_steps_of_d(r1):
    """G's loss is -L_D(θ_G, θ_D^K), with both terms of L_D and D's own Adam."""
    data, options = Gaussian2D("two", n=256), Options(steps=4, batch_size=16, device="cpu")
    family, make = small(unrolled=3, r1=r1), partial(Adam, lr=0.02, betas=(0.5, 0.9))
    trainer = Trainer(family, data, {"discriminator": make, "generator": partial(Adam, lr=1e-3)}, options)
    for _ in range(3):  # so that D's moments are not those of a fresh optimizer
        trainer.train_step()
    optimizer = trainer.optimizers["discriminator"]
    family.double()
    optimizer.load_state_dict(optimizer.state_dict())  # takes the precision of the weights
    x, y = data.batch("train", torch.arange(16))["x"].double(), torch.zeros(16)

    def after(generator: nn.Module) -> float:
        """Returns -L_D after three real steps of D's optimizer on the samples that this generator draws."""
        twin = copy.deepcopy(family)
        twin.generator.load_state_dict(generator.state_dict())
        torch.manual_seed(5)
        fake = twin.sample(16).detach()
        optimizer_of_twin = make(twin.discriminator.parameters())
        optimizer_of_twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        for _ in range(3):
            optimizer_of_twin.zero_grad()
            twin.judge(twin.discriminator, x, None, fake, y).loss.backward()
            optimizer_of_twin.step()
        return -twin.judge(twin.discriminator, x, None, fake, y).loss.item()

    with double():
        lookahead = Lookahead(optimizer, "optimizer.discriminator")
        lookahead.read()
        # With fixed labels the first random draw is z, as in `after`.
        family.rules, family.fake_labels = {"discriminator": lookahead}, lambda n: y
        torch.manual_seed(5)
        loss = family.generator_loss({"x": x, "step": torch.tensor(3)}).loss
        assert loss.item() == pytest.approx(after(family.generator), rel=1e-9)
        weights = list(family.generator.parameters())
        gradients = torch.autograd.grad(loss, weights)
        direction = [torch.randn(w.shape, generator=torch.Generator().manual_seed(7)) for w in weights]
        ends, h = [], 1e-5
        for sign in (1, -1):
            moved = copy.deepcopy(family.generator)
            with torch.no_grad():
                for weight, d in zip(moved.parameters(), direction, strict=True):
                    weight.add_(sign * h * d)
            ends.append(after(moved))
    slope = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
    assert float(slope) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-5)


def test_the_second_term_vanishes_at_the_optimum_of_d():
    """At the optimum ∂L_D/∂θ_D = 0, which leaves the gradient that a fixed D gives (eq. 8, first term)."""
    torch.manual_seed(0)
    judge = nn.Linear(2, 1).double()
    x, fake = torch.randn(64, 2).double(), (torch.randn(64, 2) + 0.5).double().requires_grad_()

    def loss(d) -> Tensor:  # logistic regression on overlapping clouds: convex, with a finite optimum
        return discriminator_loss("non_saturating", d(x), d(fake))

    def gaps() -> tuple[float, float]:
        rule = stabilizers.Descent(0.5)
        both_terms = torch.autograd.grad(-loss(stabilizers.unroll(judge, loss, 5, rule)), fake)[0]
        foreseen = copy.deepcopy(judge)
        descent = SGD(foreseen.parameters(), lr=0.5)
        for _ in range(5):
            descent.zero_grad()
            discriminator_loss("non_saturating", foreseen(x), foreseen(fake.detach())).backward()
            descent.step()
        first_term = torch.autograd.grad(-loss(foreseen), fake)[0]
        return (both_terms - first_term).norm().item(), first_term.norm().item()

    far, _ = gaps()
    newton = LBFGS(judge.parameters(), max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-16)

    def closure() -> Tensor:
        newton.zero_grad()
        value = discriminator_loss("non_saturating", judge(x), judge(fake.detach()))
        value.backward()
        return value

    newton.step(closure)
    near, scale = gaps()
    assert near < 1e-8 * scale < far
