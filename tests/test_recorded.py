"""What must not change when code is rearranged: weights, losses and samples of every model, floors, and exit codes.

`recorded.json` holds the expected results. On the processor and the version of torch that it names, they must match bit
for bit; elsewhere, where kernels add up in another order, within `CLOSE`. To record them again, after a change that is
meant to change results: `GENLAB_RECORD=1 pytest tests/test_recorded.py -m ""`.
"""

import hashlib
import json
import math
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import torch
from conftest import MODELS, ONLY, Cli, config, dataset, with_few_steps
from torch import Tensor

from genlab.config import build
from genlab.data.base import Dataset, Split
from genlab.data.fields import numeric
from genlab.data.pairs import Pairs
from genlab.models.base import Family, Sampler, Translator
from genlab.trainer import device
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

FILE = Path(__file__).with_name("recorded.json")
RECORD = "GENLAB_RECORD" in os.environ
CLOSE = 1e-3  # relative, on other processors
STEPS = 3
KINDS = {"points": "gaussian2d", "images": "mnist", "table": "array"}
PAIRS = [(m, k) for m in MODELS for k in KINDS if ONLY.get(m, k) == k and ONLY.get(m) != "table"]  # table: of numbers


def machine() -> str:
    """Returns what bitwise results depend on: the version of torch, and the processor."""
    model = (
        re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        if os.path.exists("/proc/cpuinfo")
        else None
    )
    name = model.group(1) if model else platform.processor()
    return f"torch {torch.__version__.split('+')[0]}, {torch.backends.cpu.get_cpu_capability()}, {name}"


def table(n: int = 60) -> Dataset:
    """Returns a standardised table of three columns, two of them correlated, with two classes."""
    g = torch.Generator().manual_seed(0)

    def split(size: int) -> Split:
        x = torch.randn(size, 3, generator=g)
        x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
        return Split(x, (x[:, 0] > 0).long())

    columns = (numeric("a", 10.0, 2.0), numeric("b", 0.0, 1.0), numeric("c", -3.0, 50.0))
    splits = {name: split(size) for name, size in (("train", n), ("validation", 20), ("test", 20))}
    return Dataset("table", splits, columns, classes=2)


def make(model: str, kind: str, execution: str) -> Trainer:
    """Returns a trainer of a model's default config on small data, in the given execution mode."""
    domains = resolve_name(config(f"model={model}").model._target_).domains
    data = dataset(kind, model) if kind != "table" else table() if domains == 1 else Pairs(table())
    composed = config(f"model={model}", f"data={KINDS[kind]}", *(["data.path=none.csv"] if kind == "table" else []))
    torch.manual_seed(0)
    family = build.family(composed, data.spec)
    options: dict[str, Any] = {"batch_size": 8, "steps": STEPS, "log_every": 0, "evaluate_every": 0, "sample_every": 0}
    options |= {"device": "cpu", "execution": execution, "ema": 0.9, "deterministic": True}
    return Trainer(family, data, build.optimizers(composed), Options(**options))


def tensors(values: Iterable[Tensor]) -> dict[str, Any]:
    """Returns a digest of tensors that ignores their order and names, and their norm for other machines."""
    values = [value.detach().cpu().contiguous() for value in values]
    digests = sorted(hashlib.sha256(value.numpy().tobytes()).hexdigest() for value in values)
    size = math.sqrt(sum(value.double().square().sum().item() for value in values if value.is_floating_point()))
    return {"digest": hashlib.sha256("".join(digests).encode()).hexdigest()[:16], "size": size}


def drawn(family: Family, data: Dataset) -> list[Tensor]:
    """Returns samples, translations or reconstructions of the family from a fixed seed."""
    device.seed(torch.device("cpu"), 1)
    if isinstance(family, Sampler):
        return [family.sample(4)]
    if isinstance(family, Translator):
        return [family.translate(data.head("test", 4)["x"])]
    return [family.reconstruct(data.head("test", 4)["x"])]  # type: ignore[operator]


def results(model: str, kind: str, execution: str) -> dict[str, Any]:
    """Returns weights, averaged weights, losses and samples after a few steps, each in short."""
    trainer = make(model, kind, execution)
    losses: list[float] = []
    for _ in range(STEPS):
        trainer.train_step()
        losses += [value for _, value in sorted(trainer.meter.read().items())]
        trainer.meter.clear()
    assert trainer.ema is not None
    with torch.no_grad():
        samples = drawn(with_few_steps(trainer.ema.model), trainer.data)
    return {
        "weights": tensors(trainer.family.parameters()),
        "averaged": tensors(trainer.ema.model.parameters()),
        "losses": tensors([torch.tensor(losses)]),
        "samples": tensors(samples),
    }


def recorded() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"machine": machine()}


def compare(key: str, found: dict[str, Any]) -> None:
    """Compares `found` with the record, or writes it there."""
    record = recorded()
    if RECORD:
        record |= {"machine": machine(), key: found}
        FILE.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return
    if key not in record:
        pytest.skip(f"nothing is recorded of {key}: GENLAB_RECORD=1 pytest tests/test_recorded.py")
    for name, value in record[key].items():
        if record["machine"] == machine():
            assert found[name]["digest"] == value["digest"], name
        assert found[name]["size"] == pytest.approx(value["size"], rel=CLOSE, abs=1e-6), name


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_eager_runs_match_the_record(model: str, kind: str) -> None:
    compare(f"{model} {kind} eager", results(model, kind, "eager"))


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_traced_runs_match_the_record(model: str, kind: str) -> None:
    compare(f"{model} {kind} traced", results(model, kind, "compile"))


def floors(cli: Cli, folder: Path, *words: str) -> dict[str, Any]:
    """Returns the column `floor` of the report on a model that was trained for two steps."""
    code, _, err = cli("train", *words, "trainer.steps=2", "trainer.device=cpu", f"hydra.run.dir={folder}")
    assert code == 0, err
    code, _, err = cli("evaluate", f"run={folder}", "samples=200", "likelihood=20")
    assert code == 0, err
    measures = json.loads((folder / "evaluation.json").read_text())["measures"]
    return {name: tensors([torch.tensor(row["floor"])]) for name, row in measures.items() if row["floor"] is not None}


def test_floors_of_reports_match_the_record(cli: Cli, tmp_path: Path) -> None:
    compare("floors points", floors(cli, tmp_path / "points", "model=vae", "data.n=500"))
    rows = "\n".join(f"{i % 17},{i * i % 23},{i * 7 % 11}" for i in range(400))
    (tmp_path / "table.csv").write_text(f"a,b,c\n{rows}\n")
    compare("floors table", floors(cli, tmp_path / "table", "model=flow", "data=array", "data.path=table.csv"))


WRONG = (
    "train model=gam",
    "train modle=gan",
    "train model.z_dimm=3",
    "train model.loss=hing",
    "train data.kind=rings",
    "train trainer.steps=0",
    "train trainer.device=gpu",
    "train model=vae data=array data.path=no.csv",
    "train model=boltzmann data=mnist",
    "train resume=nowhere",
    "sample run=nowhere",
    "evaluate run=nowhere",
    "compare nowhere",
    "report nowhere",
    "trian",
)


def test_wrong_commands_exit_with_code_2(cli: Cli) -> None:
    codes = {words: cli(*words.split())[0] for words in WRONG}
    assert codes == dict.fromkeys(WRONG, 2)
