"""Fused steps on prepared lists equal the optimizer's own bit for bit, because they use the same kernel."""

import copy
from functools import partial

import pytest
import torch
from torch.optim import SGD, Adam, AdamW

from genlab.trainer.execution.optimizer_steps import Fused

SHAPES = ((3, 4), (5,), ())


def parameters() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, requires_grad=True) for shape in SHAPES]


def step(optimizer: torch.optim.Optimizer, moved: list[torch.Tensor], rule: Fused | None, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    gradients = [torch.randn(shape, generator=generator) for shape in SHAPES]
    optimizer.param_groups[0]["lr"] = 0.1 / (1 + seed)
    if rule and optimizer.state:
        with torch.no_grad():
            rule(gradients)
        return
    for parameter, gradient in zip(moved, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()


def trained(make, rule_of) -> list[torch.Tensor]:
    """Returns weights and state after six steps, with the state loaded again after three."""
    moved = parameters()
    optimizer = make(moved)
    rule = rule_of(optimizer, moved)
    for seed in range(3):
        step(optimizer, moved, rule, seed)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # the state is in new tensors now
    for seed in range(3, 6):
        step(optimizer, moved, rule, seed)
    states = [value for state in optimizer.state.values() for value in state.values()]
    assert len(states) >= 2 * len(SHAPES)
    return [*moved, *states]


ADAMS = {
    "adam": partial(Adam, betas=(0.5, 0.9)),
    "amsgrad": partial(Adam, amsgrad=True, weight_decay=0.1, maximize=True),
    "adamw": partial(AdamW, weight_decay=0.3),
    "decoupled": partial(Adam, weight_decay=0.1, decoupled_weight_decay=True),
}


@pytest.mark.parametrize("make", ADAMS.values(), ids=ADAMS)
def test_fused_steps_equal_those_of_the_optimizer(make):
    make = partial(make, fused=True)
    for a, b in zip(trained(make, Fused), trained(make, lambda *_: None), strict=True):
        assert torch.equal(a, b)


def test_optimizers_that_the_fused_kernel_does_not_fit_are_left_alone():
    moved = parameters()
    mixed = [*moved, torch.zeros(2, dtype=torch.float64, requires_grad=True)]
    assert not Fused.fits(SGD(moved, lr=0.1), moved)
    assert not Fused.fits(Adam(moved), moved)
    assert not Fused.fits(Adam(mixed, fused=True), mixed)
    assert not Fused.fits(Adam([{"params": moved[:1]}, {"params": moved[1:]}], fused=True), moved)
