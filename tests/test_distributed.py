"""Two ranks on the CPU (gloo) train as one: the same weights to the bit, the same as accumulation, resumed either way.

All that needs two ranks runs in one pair of processes, since each takes seconds to import torch (`ranks`); the tests
hold what came out of it against one rank in this process.
"""

import json
import signal
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from conftest import blobs, equal, moons, noise, trainer
from torch import nn

from genlab.commands import ranks as commands
from genlab.commands.signals import Signals
from genlab.data.base import Dataset
from genlab.data.gaussian2d import Gaussian2D
from genlab.errors import Interrupted, RunFailed, UserError
from genlab.models.base import Family, Out, Phase
from genlab.run import Run
from genlab.trainer import checkpoint, distributed
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

STEPS = 3
# Every kind of update: repeats, noise, several phases that carry, BatchNorm, clipping, accumulation on top.
SAME = {
    "autoencoder": {},
    "wgan_gp": {},
    "vae": {"clip_grad_norm": 0.5},
    "gan": {},
    "ddpm": {"accumulate": 2},
    "cyclegan": {},
}


def points(n: int = 100) -> Dataset:
    return Gaussian2D(n=n)


DATA = {"gan": blobs, "ddpm": noise, "cyclegan": moons}  # images where that is where BatchNorm or a U-Net is


def fitted(model: str, folder: Path | None = None, **options) -> Trainer:
    t = trainer(model, DATA.get(model, points)(), folder, **({"steps": STEPS} | options))
    t.fit()
    return t


class Keeper(Family):
    """One weight, and a buffer of each kind."""

    def __init__(self, spec, poison=-1):
        super().__init__(spec)
        self.net, self.poison = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)), poison
        self.register_buffer("last", torch.zeros(2))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seen", torch.tensor(False))
        self.register_buffer("constant", torch.arange(3.0, dtype=torch.float64) / 3)

    def phases(self):
        return (Phase("model", (self.net,), self.loss),)

    def loss(self, batch):
        if self.training:
            self.last.copy_(batch["x"][-1])
            self.count.add_(1)
            self.seen.fill_(True)
        loss = self.net(batch["x"]).square().mean()
        return Out(loss * torch.where(batch["step"] == self.poison, torch.nan, 1.0), {"x": batch["x"].mean()})


def keeper(folder: Path | None = None, stop=lambda: "", poison: int = -1, **options) -> Trainer:
    data = points(40)
    torch.manual_seed(distributed.Group().rank)  # other weights on the other rank, until they are aligned
    return Trainer(
        Keeper(data.spec, poison),
        data,
        {"model": partial(torch.optim.SGD, lr=0.1)},
        Options(**({"batch_size": 8, "steps": 4, "log_every": 1, "device": "cpu", "sample_every": 0, "keep": 9} | options)),
        folder=folder,
        evaluate=lambda family: {"eval/asked": 1.0},
        stop=stop,
    )


def both_ranks(rank: int, folder: Path) -> None:
    """What two ranks do; each writes what it saw into a file of its own."""
    torch.set_num_threads(1)
    options = Options(devices=2, device="cpu")
    distributed.join(options, rank, 2, rank, 2, str(folder / "store"))
    seen: dict = {}
    for model, extra in SAME.items():
        seen[model] = fitted(model, devices=2, **extra).state_dict()
    seen["flow"] = fitted("flow", devices=2).state_dict()

    t = keeper()
    t.train_step()
    seen["buffers"] = t.state_dict()
    t = keeper(folder / "run", evaluate_every=2, checkpoint_every=2)
    t.fit()
    seen["whole"] = t.state_dict()
    # The writer's checkpoint of step 2, gone on with.
    t = keeper(evaluate_every=2, checkpoint_every=2)
    t.load_state_dict(checkpoint.read(folder / "run" / "checkpoints" / "step_00000002.pt"))
    t.fit()
    seen["resumed"] = t.state_dict()

    t = keeper(steps=50, stop=lambda: "enough" if rank == 0 and t.step >= 3 else "")
    seen["stopped"] = list(t.fit()[:2])
    t = keeper(steps=50, stop=lambda: "not mine to say" if rank == 1 and t.step == 3 else "")
    t.options.max_minutes = None if rank == 0 else 1e-9
    t.steps = 6
    seen["ignored"] = t.fit().step
    try:
        keeper(poison=2).fit()
    except RunFailed as error:
        seen["failed"] = str(error)
    try:
        distributed.join(Options(batch_size=9), rank, 2, rank, 2)
    except UserError as error:
        seen["uneven"] = str(error)
    torch.save(seen, folder / f"{rank}.pt")
    distributed.leave()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """(what rank 0 saw, what rank 1 saw, the folder of rank 0's run)."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "run").mkdir()
    context = get_context("spawn")
    processes = [context.Process(target=both_ranks, args=(rank, folder), daemon=True) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    return torch.load(folder / "0.pt"), torch.load(folder / "1.pt"), folder / "run"


@pytest.mark.parametrize("name", [*SAME, "flow", "buffers", "whole", "resumed"])
def test_all_ranks_hold_the_same_state_to_the_bit(ranks, name):
    one, other = ranks[0][name], ranks[1][name]
    assert one["step"] > 0
    for part in ("family", "ema", "optimizers", "meter", "best"):
        assert equal(one[part], other[part]), part


@pytest.mark.parametrize("model", SAME)
def test_two_ranks_are_one_that_accumulates_two_parts(ranks, model):
    options = SAME[model]
    alone = fitted(model, **(options | {"accumulate": 2 * options.get("accumulate", 1)}))
    for name, parameter in alone.family.named_parameters():
        assert torch.allclose(ranks[0][model]["family"][name], parameter, rtol=0, atol=1e-6), name
    assert not equal(fitted(model, steps=1).state_dict()["family"], alone.state_dict()["family"])
