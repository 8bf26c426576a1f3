"""Every model on every kind of data keeps the contract of genlab/models/base.py."""

import json

import pytest
import torch
from conftest import PAIRS, dataset, equal, trainer, with_few_steps

from genlab.models.base import Bounded, Codec, Density, Reconstructor, Sampler, Scorer, Translator
from genlab.trainer import checkpoint, device
from genlab.trainer.execution.updates import parameters

pairs = pytest.mark.parametrize(("model", "kind"), PAIRS)
CPU = torch.device("cpu")


@pairs
def test_losses_and_logs_are_finite_scalars(model, kind):
    t = trainer(model, dataset(kind, model))
    batch = t.stream(0) | {"step": torch.tensor(0)}
    names = [phase.name for phase in t.phases]
    assert len(set(names)) == len(names) > 0
    for phase in t.phases:
        out = phase.loss(batch)
        assert out.loss.shape == ()
        assert out.loss.isfinite()
        assert all(value.shape == () and value.isfinite() for value in out.logs.values())
        batch |= {key: value.detach() for key, value in out.carry.items()}


@pairs
def test_an_update_changes_only_the_modules_of_its_phase(model, kind):
    t = trainer(model, dataset(kind, model))
    carried = {}
    for phase, update in zip(t.phases, t.updates, strict=True):
        own = {id(parameter) for parameter in parameters(phase)}
        before = {name: p.detach().clone() for name, p in t.family.named_parameters()}
        _, (new,) = update([t.stream(0) | carried | {"step": torch.tensor(0)}])
        carried |= new
        moved = {name for name, p in t.family.named_parameters() if not torch.equal(p, before[name])}
        allowed = {name for name, p in t.family.named_parameters() if id(p) in own}
        assert moved
        assert moved <= allowed


@pairs
def test_abilities_return_the_documented_shapes(model, kind):
    data = dataset(kind, model)
    family = with_few_steps(trainer(model, data).family)
    x = data.head("test", 6)["x"]
    with torch.no_grad():
        if isinstance(family, Sampler):
            device.seed(CPU, 1)
            first = family.sample(5)
            device.seed(CPU, 1)
            assert torch.equal(first, family.sample(5))
            assert first.shape == (5, *data.spec.shape)
            pixels = data.spec.only("pixel")
            low, high = data.spec.limits if pixels else (-torch.inf, torch.inf)
            assert low <= first.min()
            assert first.max() <= high
        if isinstance(family, Reconstructor):
            assert family.reconstruct(x).shape == x.shape
        if isinstance(family, Translator):
            for to in ("a", "b"):
                assert family.translate(x, to).shape == x.shape
        if isinstance(family, Codec):
            assert family.decode(family.encode(x)).shape == x.shape
        if isinstance(family, Scorer):
            assert family.score(x).shape == (6,)
        if kind == "graph" and model == "ddpm":
            with pytest.raises(ValueError, match="given which nodes or steps are there has no density"):
                family.elbo(x, 2)  # type: ignore[operator]
        elif isinstance(family, Bounded):
            assert family.elbo(x, 2).shape == (6,)
        if kind in ("table", "graph") and model in ("score", "flow_matching"):
            with pytest.raises(ValueError, match="have no density"):  # no ODE leads from noise to words
                family.log_prob(x)  # type: ignore[operator]
        elif isinstance(family, Density):
            assert family.log_prob(x).shape == (6,)
    assert isinstance(family, (Sampler, Reconstructor, Translator))


@pairs
def test_resume_is_exact_bit_for_bit(model, kind, tmp_path):
    """5 + 4 steps equal 9 in weights, EMA, optimizers and logs; the cut is inside an epoch and a logging window."""

    def run(name, steps, state=None):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        t = trainer(model, dataset(kind, model), folder, steps=steps)
        if state:
            t.load_state_dict(state)
        t.fit()
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        logs = [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]
        return checkpoint.read(folder / "checkpoints" / "last.pt"), logs

    whole, whole_logs = run("whole", 9)
    half, _ = run("parts", 5)
    resumed, logs = run("parts", 9, half)
    assert not equal(half["family"], whole["family"])
    assert equal(resumed, whole)
    assert logs == whole_logs
    assert [line["step"] for line in logs] == [2, 4, 6, 8, 9]


@pairs
def test_weights_are_restored_from_a_checkpoint(model, kind, tmp_path):
    data = dataset(kind, model)
    t = trainer(model, data, tmp_path, steps=2)
    t.fit()
    other = trainer(model, data)
    other.load_state_dict(checkpoint.read(tmp_path / "checkpoints" / "last.pt"))
    assert equal(t.family.state_dict(), other.family.state_dict())
    assert t.ema is not None
    assert other.ema is not None
    assert equal(t.ema.model.state_dict(), other.ema.model.state_dict())


@pairs
def test_training_works_in_bf16_with_accumulation(model, kind):
    result = trainer(model, dataset(kind, model), steps=2, precision="bf16", accumulate=2).fit()
    assert result.step == 2
