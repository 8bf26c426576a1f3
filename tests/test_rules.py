"""A step taken on prepared lists is the optimizer's own, to the bit."""

import copy
from functools import partial

import pytest
import torch
from torch.optim import SGD, Adam, AdamW

from genlab.trainer.rules import Fused

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


@pytest.mark.parametrize(
    "make",
    [
        partial(Adam, betas=(0.5, 0.9)),
        partial(Adam, amsgrad=True, weight_decay=0.1, maximize=True),
        partial(AdamW, weight_decay=0.3),
    ],
    ids=["adam", "amsgrad", "adamw"],
)
def test_steps_are_those_of_the_optimizer(make):
    ends = []
    for by_rule in (False, True):
        moved = parameters()
        optimizer = make(moved, fused=True)
        assert Fused.fits(optimizer, moved)
        rule = Fused(optimizer, moved) if by_rule else None
        for seed in range(3):
            step(optimizer, moved, rule, seed)
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # the state lies elsewhere now
        for seed in range(3, 6):
            step(optimizer, moved, rule, seed)
        states = [value for state in optimizer.state.values() for value in state.values()]
        ends.append([*moved, *states])
    assert len(ends[0]) > 2 * len(SHAPES)
    for a, b in zip(*ends, strict=True):
        assert torch.equal(a, b)


def test_what_that_kernel_does_not_do_is_left_to_the_optimizer():
    moved = parameters()
    mixed = [*moved, torch.zeros(2, dtype=torch.float64, requires_grad=True)]
    assert not Fused.fits(SGD(moved, lr=0.1), moved)
    assert not Fused.fits(Adam(moved), moved)
    assert not Fused.fits(Adam(mixed, fused=True), mixed)
    assert not Fused.fits(Adam([{"params": moved[:1]}, {"params": moved[1:]}], fused=True), moved)
