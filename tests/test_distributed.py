"""Two ranks on the CPU (gloo) train the same weights, bit for bit, as one rank that accumulates two parts.

Everything that needs two ranks runs in one pair of processes (`ranks`), since each takes seconds to import torch; the
tests compare the results with one rank in this process.
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
from genlab.models.autoencoder import Autoencoder
from genlab.models.base import Family, LossOutput, Phase
from genlab.runs.folder import Run
from genlab.trainer import checkpoint, distributed
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

STEPS = 3
# Every kind of update: repeats, noise, several phases that pass values on, BatchNorm, clipping.
SAME = {
    "autoencoder": {},
    "wgan_gp": {},
    "vae": {"clip_grad_norm": 0.5},
    "gan": {},
    "ddpm": {},
    "cyclegan": {},
}


def points(n: int = 100) -> Dataset:
    return Gaussian2D(n=n)


DATA = {"gan": blobs, "ddpm": noise, "cyclegan": moons}  # images where only the image nets have BatchNorm or a U-Net


def fitted(model: str, folder: Path | None = None, **options) -> Trainer:
    t = trainer(model, DATA.get(model, points)(), folder, **({"steps": STEPS} | options))
    t.fit()
    return t


def plain(**options) -> Trainer:
    """Trains without noise and BatchNorm, by SGD because Adam turns mere rounding errors into steps."""
    data = points(40)
    torch.manual_seed(0)
    optimizers = {"model": partial(torch.optim.SGD, lr=0.01)}
    defaults = {"batch_size": 8, "steps": STEPS, "evaluate_every": 0, "sample_every": 0, "device": "cpu"}
    t = Trainer(Autoencoder(data.spec), data, optimizers, Options(**(defaults | options)))
    t.fit()
    return t


class Keeper(Family):
    """A family of a small net with BatchNorm, and a buffer of each kind."""

    last: torch.Tensor
    count: torch.Tensor
    seen: torch.Tensor

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
        x = batch["x"]
        loss = (self.net(x) + torch.randn(len(x), 1)).square().mean()
        return LossOutput(loss * torch.where(batch["step"] == self.poison, torch.nan, 1.0), {"x": batch["x"].mean()})


def keeper(folder: Path | None = None, stop=lambda: "", poison: int = -1, **options) -> Trainer:
    data = points(40)
    torch.manual_seed(distributed.Group().rank)  # the ranks start with different weights, until they are aligned
    return Trainer(
        Keeper(data.spec, poison),
        data,
        {"model": partial(torch.optim.SGD, lr=0.1)},
        Options(
            **({"batch_size": 8, "steps": 4, "log_every": 1, "device": "cpu", "sample_every": 0, "keep": 9} | options)
        ),
        folder=folder,
        evaluate=lambda family: {"eval/asked": 1.0},
        stop=stop,
    )


def both_ranks(rank: int, folder: Path) -> None:
    """Runs on each of the two ranks and writes what it saw into a file of its own."""
    torch.set_num_threads(1)
    options = Options(devices=2, device="cpu")
    distributed.join(options, rank, 2, rank, 2, str(folder / "store"))
    seen: dict = {}
    for model, extra in SAME.items():
        seen[model] = fitted(model, devices=2, **extra).state_dict()
    seen["flow"] = fitted("flow", devices=2).state_dict()

    seen["plain"] = plain(devices=2).state_dict()
    t = keeper(accumulate=2)
    t.fit()
    seen["parts"] = t.state_dict()
    t = keeper(steps=1, evaluate_every=0)
    t.fit()
    seen["buffers"] = t.state_dict()
    t = keeper(folder / "run", evaluate_every=2, checkpoint_every=2)
    t.fit()
    seen["whole"] = t.state_dict()
    # Resumes from the writer's checkpoint of step 2.
    t = keeper(evaluate_every=2, checkpoint_every=2)
    t.load_state_dict(checkpoint.read(folder / "run" / "checkpoints" / "step_00000002.pt"))
    t.fit()
    seen["resumed"] = t.state_dict()

    t = keeper(steps=50, stop=lambda: "enough" if rank == 0 and t.step >= 3 else "")
    seen["stopped"] = list(t.fit()[:2])
    t = keeper(steps=50, stop=lambda: "rank 1 does not decide" if rank == 1 and t.step == 3 else "")
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
    """Returns (what rank 0 saw, what rank 1 saw, the folder of rank 0's run)."""
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


@pytest.mark.parametrize("name", [*SAME, "flow", "plain", "parts", "buffers", "whole", "resumed"])
def test_all_ranks_hold_the_same_state_bit_for_bit(ranks, name):
    first, second = ranks[0][name], ranks[1][name]
    assert first["step"] > 0
    for part in ("family", "ema", "optimizers", "meter", "best"):
        assert equal(first[part], second[part]), part


@pytest.mark.parametrize("model", SAME)
def test_two_ranks_equal_one_that_accumulates_two_parts(ranks, model):
    alone = fitted(model, **SAME[model], accumulate=2)
    for name, parameter in alone.family.named_parameters():
        assert torch.equal(ranks[0][model]["family"][name], parameter), name  # bit for bit, because a + b = b + a
    before = dict(trainer(model, DATA.get(model, points)()).family.named_parameters())
    assert any(not torch.equal(before[name], parameter) for name, parameter in alone.family.named_parameters())


def test_two_ranks_with_two_parts_equal_one_rank_with_four(ranks):
    alone = keeper(accumulate=4)
    alone.fit()
    for name, parameter in alone.family.named_parameters():
        # Four gradients summed in another order in fp32, over four steps.
        assert torch.allclose(ranks[0]["parts"]["family"][name], parameter, rtol=0, atol=1e-6), name


def test_without_noise_and_batchnorm_two_ranks_equal_one(ranks):
    for name, parameter in plain().family.named_parameters():
        # fp32 sums in another order.
        assert torch.allclose(ranks[0]["plain"]["family"][name], parameter, rtol=0, atol=1e-6), name


def test_batchnorm_statistics_are_averaged_and_other_buffers_come_from_rank_0(ranks):
    after = ranks[0]["buffers"]["family"]
    t = keeper()
    net = t.family.get_submodule("net.0")
    parts = [keeper(accumulate=2).stream(0, part)["x"] for part in range(2)]
    means = [net(x).mean(0) for x in parts]
    assert torch.allclose(after["net.1.running_mean"], 0.1 * (means[0] + means[1]) / 2, atol=1e-6)
    assert torch.equal(after["last"], parts[0][-1])
    assert after["count"] == after["net.1.num_batches_tracked"] == 1
    assert after["seen"]
    assert torch.equal(after["constant"], torch.arange(3.0, dtype=torch.float64) / 3)


def test_a_run_can_be_resumed_with_another_number_of_ranks(ranks, tmp_path):
    both, _, folder = ranks
    for part in ("family", "ema", "optimizers"):
        assert equal(both["whole"][part], both["resumed"][part]), part
    t = keeper(tmp_path, accumulate=2)
    t.load_state_dict(checkpoint.read(folder / "checkpoints" / "step_00000002.pt"))
    t.fit()
    for name, parameter in t.family.named_parameters():
        assert torch.allclose(both["whole"]["family"][name], parameter, rtol=0, atol=1e-6), name
    assert both["whole"]["best"] == both["resumed"]["best"] is not None


def test_rank_0_logs_the_mean_over_all_ranks(ranks, tmp_path):
    lines = [json.loads(line) for line in (ranks[2] / "metrics.jsonl").read_text().splitlines()]
    data = points(40)
    t = keeper(tmp_path)
    x = [data.batch("train", t.stream._index(8 * step, 8))["x"].mean().item() for step in range(4)]
    assert [line["train/model/x"] for line in lines if "train/model/x" in line] == pytest.approx(x, abs=1e-6)
    assert [line["step"] for line in lines if "eval/asked" in line] == [2, 4]
    assert len(list((ranks[2] / "checkpoints").glob("*.pt"))) == 4  # last, best and two numbered: one writer


def test_rank_0_decides_to_stop_and_all_ranks_stop_a_step_later(ranks):
    assert ranks[0]["stopped"] == [4, "enough"]
    assert ranks[1]["stopped"][0] == 4
    assert ranks[0]["ignored"] == ranks[1]["ignored"] == 6


def test_all_ranks_fail_together(ranks):
    for seen in ranks[:2]:
        assert seen["failed"] == "the loss of phase 'model' is not finite at step 3"
        assert seen["uneven"] == "trainer.batch_size: 9 cannot be split evenly over 2 devices"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"devices": 0}, "trainer.devices: must be >= 1, got 0"),
        ({"devices": 3, "batch_size": 128}, "trainer.batch_size: 128 cannot be split evenly over 3 devices"),
        ({"devices": 4, "accumulate": 2, "batch_size": 12}, "over 4 devices x 2 accumulated parts"),
        ({"devices": 2, "device": "cuda:1"}, "trainer.device: 'cuda:1' is a single device"),
    ],
)
def test_options_that_ranks_cannot_share_are_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        Options(**wrong)


def test_too_few_gpus_or_ranks_are_reported(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="2 requested, but this machine has 1 GPU"):
        distributed.join(Options(devices=2, device="cuda"), 0, 2, 0, 2)
    with pytest.raises(UserError, match="4, but 2 processes were started"):
        distributed.join(Options(devices=4), 0, 2, 0, 2)
    with pytest.raises(UserError, match="2 ranks must be started by 'genlab train'"):
        keeper(devices=2)


def test_the_command_trains_on_two_ranks_and_resumes_on_one(cli, tmp_path):
    """The validation split has one row, so there is no spread; no rank takes the monitor for a misspelt name."""
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{i},{i * i % 7}\n" for i in range(12)))
    small = ["data=array", f"data.path={tmp_path}/t.csv", "model=gan", "trainer.device=cpu", "trainer.batch_size=8"]
    small += ["trainer.monitor=eval/spread", "trainer.mode=max", "trainer.evaluate_every=2", "trainer.sample_every=0"]
    code, out, err = cli("train", f"hydra.run.dir={tmp_path}/r", *small, "trainer.devices=2", "trainer.steps=3")
    assert code == 0, err
    status = json.loads((tmp_path / "r" / "status.json").read_text())
    assert (status["status"], status["step"]) == ("finished", 3)
    code, out, err = cli("train", f"resume={tmp_path}/r", "trainer.devices=1", "trainer.steps=5")
    assert code == 0, err
    assert "eval/spread is left out" in err
    assert "step 3 to 5" in out


# How the watching process ends, without the seconds that real ranks take to start.


def watched(*targets) -> list[commands.Ending]:
    context = get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in targets]
    processes = [context.Process(target=target, args=arguments) for target, *arguments in targets]
    for process, (_, writer) in zip(processes, pipes, strict=True):
        process.start()
        writer.close()
    reports = commands._watch(processes, [reader for reader, _ in pipes], Signals())
    for process in processes:
        process.kill()
        process.join()
    return reports


def test_a_killed_rank_is_noticed_and_named(monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "GRACE", 0.2)
    began = time.monotonic()
    reports = watched((time.sleep, 60), (signal.raise_signal, signal.SIGKILL))
    assert time.monotonic() - began < 30
    run = Run(tmp_path)
    run.config.touch()
    with pytest.raises(RunFailed, match=r"^rank 1 \(process \d+\) was killed by SIGKILL; there is no checkpoint yet$"):
        commands._conclude(run, reports, 0)
    assert json.loads(run.status.read_text())["status"] == "failed"


def test_the_rank_that_failed_first_is_named(tmp_path, capsys):
    run, lost = Run(tmp_path), commands.Ending(0, "RuntimeError", "connection closed", traceback="of rank 0")
    bug = commands.Ending(1, "IndexError", "out of range", traceback="of rank 1")
    with pytest.raises(RunFailed, match="rank 1 failed: IndexError: out of range"):
        commands._conclude(run, [bug, lost], 0)
    assert capsys.readouterr().err == "of rank 1\n"
    failures = [commands.Ending(rank, "RunFailed", f"not finite, says {rank}") for rank in (1, 0)]
    with pytest.raises(RunFailed, match="not finite, says 0"):
        commands._conclude(run, failures, 0)
    with pytest.raises(UserError, match="wrong word"):
        commands._conclude(run, [commands.Ending(1, "UserError", "wrong word"), lost], 0)


def test_the_value_of_rank_0_is_returned_and_a_signal_raises_interrupted(tmp_path):
    run, done = Run(tmp_path), commands.Ending(1)
    assert commands._conclude(run, [done, commands.Ending(0, value=0.5)], 0) == 0.5
    for reports in ([commands.Ending(0, "Interrupted", "SIGTERM after step 3", signal=15), done], []):
        with pytest.raises(Interrupted, match="SIGTERM") as caught:
            commands._conclude(run, reports, 15)
        assert caught.value.signal == 15
