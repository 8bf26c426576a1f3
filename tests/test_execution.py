"""The execution modes agree, report what was chosen, and refuse what they cannot do."""

import copy
import math
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from conftest import PAIRS, Tape, config, dataset, equal

from genlab.config import build
from genlab.errors import UserError
from genlab.models.base import Phase
from genlab.trainer import device
from genlab.trainer.execution import choice, compiled, cuda_graph
from genlab.trainer.execution.eager import Eager, clip
from genlab.trainer.execution.updates import make_optimizer
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

CPU = torch.device("cpu")
CHEAP = [("gan", "points"), ("wgan", "points"), ("wgan_gp", "points"), ("vae", "points"), ("flow", "points")]
CHEAP += [("wgan_gp", "images"), ("vae", "images"), ("latent_diffusion", "points")]  # convolutions; two families
EVERY = PAIRS

# Relative to how far the weights moved in 4 steps. fp32 rounds to 6e-8, and sums in a net reach 1e-5; an absolute
# error (CycleGAN) has a kink, where rounding can flip the sign of a pixel's gradient.
CLOSE, KINKED = 1e-4, 1e-2


def make(model: str, kind: str, mode: str, overrides: tuple[str, ...] = (), eps: float = 1.0, **options) -> Trainer:
    """Returns a trainer; Adam's large ε keeps rounding errors of a zero gradient from becoming full steps."""
    data = dataset(kind, model)
    composed = config(f"model={model}", "data=mnist" if kind == "images" else "data=gaussian2d", *overrides)
    torch.manual_seed(0)
    family = build.family(composed, data.spec)
    optimizers = {name: partial(factory, eps=eps) for name, factory in build.optimizers(composed).items()}
    settings: dict[str, Any] = {"batch_size": 8, "steps": 4, "device": "cpu", "execution": mode}
    settings |= {"log_every": 0, "evaluate_every": 0, "sample_every": 0}
    settings |= options
    return Trainer(family, data, optimizers, Options(**settings))


def distance_from_eager(model: str, kind: str, overrides: tuple[str, ...] = (), **options) -> float:
    """Returns how far apart eager and compiled weights end, relative to how far they moved; no phase may fall back."""
    eager, compiled_run = (make(model, kind, mode, overrides, **options) for mode in ("eager", "compile"))
    start = [p.detach().clone() for p in eager.family.parameters()]
    eager.fit()
    compiled_run.fit()
    for update in compiled_run.updates:
        assert isinstance(update, compiled.Compiled)
        assert update.graph.compiled is not update.graph.function
    pairs = list(zip(start, eager.family.parameters(), compiled_run.family.parameters(), strict=True))
    apart = math.hypot(*((a - b).norm().item() for _, a, b in pairs))
    return apart / math.hypot(*((a - s).norm().item() for s, a, _ in pairs))


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("model", "kind"), CHEAP)
def test_an_update_is_one_graph_and_agrees_with_eager(model, kind):
    assert distance_from_eager(model, kind) < CLOSE


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("model", "kind"), [pair for pair in EVERY if pair not in CHEAP])
def test_every_family_is_one_graph_and_agrees_with_eager(model, kind):
    assert distance_from_eager(model, kind) < (KINKED if model == "cyclegan" else CLOSE)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("model", "overrides", "options"),
    [
        ("vae", (), {"clip_grad_norm": 0.1, "schedule": "cosine", "warmup": 2}),
        ("gan", (), {"accumulate": 2}),
        ("vae", ("optimizer.model._target_=torch.optim.NAdam",), {}),
        # R1 through minibatch discrimination cannot be traced: it stays eager and says so.
        ("gan", ("model.replay=16", "model.minibatch=4", "model.r1=0"), {}),
        ("gan", ("model.unrolled=1",), {}),
        ("gan", ("model.discriminator.spectral=true",), {}),
    ],
    ids=["clipping_and_schedule", "in_parts", "another_optimizer", "pool", "unrolled", "spectral_norm"],
)
def test_options_take_effect_in_the_graph(model, overrides, options):
    assert distance_from_eager(model, "points", overrides, **options) < CLOSE


@pytest.mark.slow
@pytest.mark.parametrize(("model", "kind"), EVERY)
def test_compiled_code_agrees_with_eager(model, kind):
    # Sums are in another order; in convolutions that carries some values over the kink of a ReLU.
    assert distance_from_eager(model, kind) < (KINKED if kind == "images" else 10 * CLOSE)


@pytest.mark.usefixtures("traced")
def test_resume_of_a_compiled_run_is_exact_bit_for_bit():
    whole, half = make("wgan_gp", "points", "compile", eps=1e-8), make("wgan_gp", "points", "compile", eps=1e-8)
    whole.fit()
    half.steps = 2
    half.fit()
    resumed = make("wgan_gp", "points", "compile", eps=1e-8)
    resumed.load_state_dict(copy.deepcopy(half.state_dict()))
    resumed.fit()
    assert equal(resumed.state_dict(), whole.state_dict())


@pytest.mark.usefixtures("traced")
def test_a_run_can_change_its_execution_mode_on_resume():
    first = make("vae", "points", "compile", steps=2)
    first.fit()
    eager, compiled_run = make("vae", "points", "eager"), make("vae", "points", "compile")
    for resumed in (eager, compiled_run):
        resumed.load_state_dict(copy.deepcopy(first.state_dict()))
        resumed.fit()
    for a, b in zip(eager.family.parameters(), compiled_run.family.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.usefixtures("traced")
def test_optimizer_options_from_a_checkpoint_take_effect_in_the_graph():
    """torch loads an optimizer's options along with its state: an older graph must not keep the old options."""
    other = make("vae", "points", "eager", eps=0.01)
    other.fit()
    state = copy.deepcopy(other.state_dict()) | {"step": 0}
    ends = []
    for mode in ("eager", "compile"):
        t = make("vae", "points", mode)
        t.fit()
        t.load_state_dict(copy.deepcopy(state))
        t.fit()
        ends.append(t.family.state_dict())
    for key, value in ends[0].items():
        torch.testing.assert_close(ends[1][key], value, rtol=1e-4, atol=1e-5)


def test_a_phase_that_cannot_compile_stays_eager_and_says_so(monkeypatch, capsys):
    def refuses(graph_module, inputs):
        raise RuntimeError("no such operation\nand a page of details")

    monkeypatch.setattr(compiled, "BACKEND", refuses)
    eager, fallback = make("vae", "points", "eager"), make("vae", "points", "compile")
    eager.fit()
    fallback.fit()
    assert equal(eager.family.state_dict(), fallback.family.state_dict())
    (line,) = [printed for printed in capsys.readouterr().err.splitlines() if "stays eager" in printed]
    assert "phase 'model'" in line
    assert "no such operation" in line


def test_an_eager_update_equals_that_of_backward():
    """Gradients of a penalty on convolutions are transposed in memory; a fused optimizer must not misread them."""
    t = make("wgan_gp", "images", "eager", eps=1e-8)
    phase = t.phases[0]
    batch = t.stream(0) | {"step": torch.tensor(0)}
    other = make("wgan_gp", "images", "eager", eps=1e-8)
    twin = other.phases[0]
    optimizer = torch.optim.SGD(twin.modules[0].parameters(), lr=0.1)
    ours = make_optimizer(phase, partial(torch.optim.SGD, lr=0.1), CPU)
    device.seed(CPU, 0)
    Eager(phase, ours, t.options, CPU)([batch])
    device.seed(CPU, 0)
    twin.loss(batch).loss.backward()
    assert any(
        g.stride() != p.stride()
        for p, g in zip(Eager(twin, ours, t.options, CPU).parameters, _gradients(twin, batch), strict=True)
    )
    optimizer.step()
    for a, b in zip(phase.modules[0].parameters(), twin.modules[0].parameters(), strict=True):
        torch.testing.assert_close(a, b)


def _gradients(phase: Phase, batch):
    return torch.autograd.grad(phase.loss(batch).loss, list(phase.modules[0].parameters()))


def test_clipping_matches_torch():
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    parameters = [torch.zeros(2, requires_grad=True), torch.zeros(1, 1, requires_grad=True)]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters, 2.0)
    assert torch.equal(clip(gradients, 2.0), norm)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(gradient, parameter.grad)
    small = [torch.tensor([0.3])]
    clip(small, 2.0)
    assert small[0].item() == pytest.approx(0.3)


def decide(options: Options, steps: int = 1000, model: str = "wgan_gp", where: torch.device = CPU):
    t = make(model, "images" if model == "ddpm" else "points", "eager")
    return choice.decide(replace(options, batch_size=64), t.family, t.phases, steps, where)


def test_auto_compiles_only_if_the_run_is_long_enough(monkeypatch):
    monkeypatch.setattr(choice, "has_compiler", lambda: True)
    assert decide(Options(), 5000).mode == "eager"
    assert decide(Options(), 1_000_000).mode == "compile"
    assert decide(Options(max_minutes=1.0), 1_000_000).mode == "eager"
    assert decide(Options(), 1_000_000, "ddpm").mode == "eager"
    monkeypatch.setattr(choice, "has_compiler", lambda: False)
    assert decide(Options(), 1_000_000).mode == "eager"
    assert decide(Options(execution="compile"))[:2] == ("eager", "no C++ compiler")


def test_auto_uses_a_graph_on_cuda_unless_it_accumulates():
    cuda = torch.device("cuda", 0)
    assert decide(Options(), where=cuda).mode == "graph"
    assert decide(Options(accumulate=2), where=cuda).mode == "eager"
    assert decide(Options(accumulate=2, execution="graph"), where=cuda).mode == "eager"


def test_a_graph_is_refused_on_the_cpu(cli):
    code, _, err = cli("train", "trainer.execution=graph", "trainer.device=cpu")
    assert code == 2
    assert "graph needs a CUDA device, not cpu; allowed: auto, eager, compile" in err


def test_a_run_prints_how_it_is_executed(cli):
    code, out, _ = cli("train", "trainer.steps=1", "trainer.device=cpu", "trainer.threads=1", "hydra.run.dir=run")
    assert code == 0
    assert "execution: eager (the run is too short to repay compilation), 1 thread (requested)" in out


@pytest.mark.parametrize(
    ("model", "kind", "where", "precision", "last"),
    [
        ("gan", "images", "cpu", "fp32", True),
        ("gan", "images", "cpu", "bf16", False),
        ("gan", "images", "cuda", "bf16", True),
        ("gan", "images", "cuda", "fp32", False),
        ("gan", "points", "cpu", "fp32", False),
        ("ddpm", "images", "cpu", "fp32", False),  # GroupNorm
        ("cyclegan", "images", "cpu", "fp32", False),  # InstanceNorm
    ],
)
def test_channels_are_last_where_that_is_faster(model, kind, where, precision, last):
    t = make(model, kind, "eager")
    chosen = choice.layout(t.family, replace(t.options, precision=precision), torch.device(where))
    assert chosen == (torch.channels_last if last else torch.contiguous_format)


def test_channels_last_gives_the_same_run_up_to_rounding(monkeypatch):
    """It can also resume from a run with channels first, including Adam's moments."""
    last = make("gan", "images", "eager")
    monkeypatch.setattr(choice, "layout", lambda *_: torch.contiguous_format)
    first = make("gan", "images", "eager")
    assert ", channels last" in str(last.execution)
    assert ", channels last" not in str(first.execution)
    last.steps = first.steps = 2
    last.fit()
    first.fit()
    start = [p.detach().clone() for p in first.family.parameters()]
    crossed = copy.deepcopy(first.state_dict())
    last.load_state_dict(crossed)
    last.steps = first.steps = 4
    last.fit()
    first.fit()
    convolutions = [p for p in last.family.parameters() if p.dim() == 4]
    assert any(not p.is_contiguous() for p in convolutions)
    gone = math.hypot(*((p - s).norm().item() for p, s in zip(first.family.parameters(), start, strict=True)))
    pairs = zip(first.family.parameters(), last.family.parameters(), strict=True)
    assert math.hypot(*((a - b).norm().item() for a, b in pairs)) < KINKED * gone


def test_the_number_of_threads_fits_the_work(monkeypatch):
    for name in choice.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    assert decide(Options()).threads == 1
    assert decide(Options(), model="ddpm").threads == 6
    assert decide(Options(threads=2)).threads == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert decide(Options())[2:4] == (6, "OMP_NUM_THREADS")  # torch has read the variable itself


def test_the_number_of_threads_is_restored_after_the_run():
    before = torch.get_num_threads()
    t = make("vae", "points", "eager", threads=before + 1, steps=1)
    seen = []
    t.stop = lambda: seen.append(torch.get_num_threads()) or ""
    t.fit()
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_zero_threads_are_refused():
    with pytest.raises(UserError, match=r"trainer\.threads: must be >= 1, got 0"):
        Options(threads=0)


def test_a_recording_has_its_own_inputs_and_copies_its_outputs():
    recording = cuda_graph.Recording(
        lambda b: ({"loss": b["x"].sum()}, {"fake": 2 * b["x"]}), {"x": torch.ones(3)}, Tape()
    )
    first, carry = recording({"x": torch.full((3,), 2.0)})
    second, _ = recording({"x": torch.full((3,), 5.0)})
    assert (first["loss"].item(), second["loss"].item()) == (6.0, 15.0)
    assert carry["fake"].tolist() == [4.0, 4.0, 4.0]


def test_a_graphed_update_warms_up_records_and_replays(monkeypatch):
    """Runs on the CPU with a stand-in for recording, which runs the update once more; so its rate is 0 at that call."""
    tape = Tape()
    t = make("vae", "points", "eager", ema=0.0, steps=6)
    (phase,) = t.phases
    update = cuda_graph.Graphed.__new__(cuda_graph.Graphed)
    Eager.__init__(update, phase, t.optimizers["model"], t.options, CPU)
    update.device, update.rate, update.count, update.broken = CPU, torch.zeros(()), 0, False
    update.recording, update._seen = None, None
    monkeypatch.setattr(update, "_warm_up", update.whole)
    monkeypatch.setattr(cuda_graph, "record", tape)
    monkeypatch.setattr(cuda_graph, "graph_safe", no_change)
    t.updates[:] = [update]
    t.fit()
    assert tape.recorded == 1
    assert update.count == cuda_graph.WARM_UP
    t.load_state_dict(t.state_dict())
    t.train_step()
    assert tape.recorded == 2  # the optimizer's state is in new tensors now


@contextmanager
def no_change(optimizer, rate):
    yield


def test_recording_leaves_the_optimizer_unchanged():
    parameter = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    parameter.grad = torch.ones(2)
    optimizer.step()
    before = optimizer.state_dict()
    rate = torch.zeros(())
    with cuda_graph.graph_safe(optimizer, rate):
        assert optimizer.param_groups[0]["lr"] is rate
        assert optimizer.param_groups[0]["capturable"]
    assert equal(optimizer.state_dict(), before)
