"""A sampler's net called as a graph gives the same samples as the eager net, and the family is left unchanged."""

import pytest
import torch
from conftest import Tape, config, dataset

from genlab.config import build
from genlab.errors import UserError
from genlab.evaluation.abilities import SAMPLED, samples
from genlab.trainer import device
from genlab.trainer.execution import sampling
from genlab.trainer.execution.sampling import executed

CPU = torch.device("cpu")
PAIRS = [("ddpm", "points"), ("score", "points"), ("flow_matching", "points"), ("latent_diffusion", "points")]
PAIRS += [("ddpm", "images")]


def family(model: str, kind: str, *overrides: str):
    data = dataset(kind, model)
    composed = config(f"model={model}", "data=gaussian2d" if kind == "points" else "data=mnist", *overrides)
    torch.manual_seed(0)
    made = build.family(composed, data.spec).eval()
    for parameter in made.parameters():  # last layers start at 0, and a net that returns 0 would prove nothing
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    return made


@torch.no_grad()
def draw(made, mode: str, n: int, y: torch.Tensor | None = None) -> torch.Tensor:
    device.seed(CPU, 0)
    with executed(made, mode):
        return samples(made, n, y)


def net_of(made) -> torch.nn.Module:
    (net,) = (module.net for module in made.modules() if isinstance(module, sampling.DenoisingModel))
    return net


@torch.no_grad()
def draw_recorded(made, n: int, y: torch.Tensor | None = None) -> torch.Tensor:
    device.seed(CPU, 0)
    with sampling.replaced(net_of(made), sampling.OneShape(net_of(made), sampling.Recorded)):
        return samples(made, n, y)


@pytest.fixture
def tape(monkeypatch):
    tape = Tape()
    monkeypatch.setattr(sampling, "record", tape)
    monkeypatch.setattr(sampling, "warm_up", lambda function, batch, device: function(batch))
    return tape


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_a_compiled_net_gives_the_same_samples(model, kind, capsys):
    made = family(model, kind)
    torch.testing.assert_close(draw(made, "compile", 4), draw(made, "eager", 4), rtol=1e-4, atol=1e-4)
    error = capsys.readouterr().err
    assert "compiling the sampler's net" in error
    assert "stays eager" not in error


def test_a_recorded_net_gives_the_same_samples(tape, monkeypatch):
    made = family("ddpm", "points", "model.sample_steps=6")
    monkeypatch.setitem(SAMPLED, "cpu", 5)
    assert torch.equal(draw_recorded(made, 12), draw(made, "eager", 12))
    assert (tape.recorded, tape.replayed) == (1, 12)  # two batches of 5; the last, of 2, is eager


def test_labels_reach_a_recorded_net(tape):
    made = family("ddpm", "points", "model.conditional=true", "model.guidance=2.0", "model.sample_steps=4")
    y = torch.arange(6) % made.spec.classes
    assert torch.equal(draw_recorded(made, 6, y), draw(made, "eager", 6, y))
    assert tape.recorded == 1


def test_a_net_that_cannot_be_recorded_stays_eager_and_says_so(tape, monkeypatch, capsys):
    def refuses(function, device):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(sampling, "record", refuses)
    made = family("ddpm", "points", "model.sample_steps=3")
    assert torch.equal(draw_recorded(made, 4), draw(made, "eager", 4))
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "execution: the sampler's net stays eager: operation not permitted when stream is capturing"


def test_the_net_is_restored_after_an_error():
    net = net_of(family("ddpm", "points"))
    with pytest.raises(ZeroDivisionError), sampling.replaced(net, sampling.OneShape(net, sampling.Recorded)):
        raise ZeroDivisionError
    assert "forward" not in vars(net)


def test_auto_is_eager_on_the_cpu_and_families_without_a_denoiser_are_left_alone(traced, capsys):
    for model, mode in (("ddpm", "auto"), ("gan", "compile")):
        draw(family(model, "points"), mode, 3)
    assert capsys.readouterr().err == ""


def test_wrong_modes_are_refused():
    made = family("ddpm", "points")
    with pytest.raises(UserError, match="graph needs a CUDA device, not cpu; allowed: auto, eager, compile"):
        draw(made, "graph", 3)
    with pytest.raises(
        UserError, match="execution: 'compiled' is none of auto, eager, compile, graph; did you mean 'compile'"
    ):
        draw(made, "compiled", 3)


def test_sample_and_evaluate_pass_the_mode_on(cli):
    short = ("trainer.steps=1", "trainer.batch_size=8", "trainer.sample_every=0", "trainer.evaluate_every=0")
    assert cli("train", "model=ddpm", "data.n=100", *short, "hydra.run.dir=run")[0] == 0
    for words in (("sample", "n=3"), ("evaluate", "samples=4")):
        code, _, err = cli(*words, "run=run", "device=cpu", "execution=graph")
        assert code == 2
        assert err == "genlab: execution: graph needs a CUDA device, not cpu; allowed: auto, eager, compile\n"


@pytest.mark.slow
@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_compiled_code_gives_the_same_samples(model, kind):
    made = family(model, kind)
    torch.testing.assert_close(draw(made, "compile", 4), draw(made, "eager", 4), rtol=1e-3, atol=1e-3)
