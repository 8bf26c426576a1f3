"""What the tests share: composed configs, small data of every shape, trainers, the command line in this process."""

import copy
import functools
import logging
import os
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch
from omegaconf import DictConfig

from genlab import configs
from genlab.cli import main
from genlab.config import build
from genlab.config.compose import compose
from genlab.data.base import Dataset, Range, Split
from genlab.data.gaussian2d import Gaussian2D
from genlab.data.pairs import Pairs
from genlab.models.base import Family
from genlab.trainer.execution import compiled
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

torch.set_num_threads(1)  # small tensors: threads would only wait for one another

MODELS = sorted(path.stem for path in (configs() / "model").glob("*.yaml"))
PRESETS = sorted(path.stem for path in (configs() / "experiment").glob("*.yaml"))
DATA = ("points", "images")
POINTS_ONLY = {"boltzmann"}  # it learns from an energy of points


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("real_data") and "GENLAB_DATA" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="GENLAB_DATA names no folder with the real files"))


def config(*overrides: str) -> DictConfig:
    """The config of `genlab train` with these overrides; `${hydra:...}` is left out."""
    return copy.deepcopy(_composed(overrides))


@functools.cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    """Composed once: the same few configs are asked for hundreds of times."""
    composed = compose("train", overrides)
    composed.name = "test"
    return composed


def blobs(size: int = 28, range: Range = "symmetric", n: int = 64) -> Dataset:
    """Images (1, size, size) of a bright square at a place that depends on the class."""
    y = torch.arange(n) % 10
    x = torch.zeros(n, 1, size, size, dtype=torch.uint8)
    for i, k in enumerate(y.tolist()):
        x[i, 0, 2 * k : 2 * k + 6, 4:12] = 200 + i % 50
    split = Split(x, y)
    return Dataset("blobs", {"train": split, "validation": split, "test": split}, range, classes=10)


def noise(n: int = 40, side: int = 16, range: Range = "symmetric", seed: int = 0) -> Dataset:
    """Images (1, side, side) of pixels drawn evenly, labels in turn."""
    g = torch.Generator().manual_seed(seed)

    def split(size: int) -> Split:
        x = torch.randint(256, (size, 1, side, side), generator=g).to(torch.uint8)
        return Split(x, torch.arange(size) % 10)

    return Dataset("noise", {"train": split(n), "validation": split(12), "test": split(12)}, range, classes=10)


def moons(n: int = 64) -> Pairs:
    """Two moons, and their copy under the known transform."""
    return Pairs(Gaussian2D("moons", n=n))


def dataset(kind: str, model: str = "gan") -> Dataset:
    """Small data of a kind, in the range and the number of domains that the model wants."""
    family = resolve_name(config(f"model={model}").model._target_)
    data = Gaussian2D(n=100) if kind == "points" else blobs(range=family.prefers)
    return data if family.domains == 1 else Pairs(data)


def trainer(model: str, data: Dataset, folder: Path | None = None, **options) -> Trainer:
    """A trainer as the command builds it, with the model's own config and small batches."""
    composed = config(f"model={model}", "data=mnist" if data.spec.layout == "image" else "data=gaussian2d")
    torch.manual_seed(0)
    family = build.family(composed, data.spec)
    defaults = {"batch_size": 8, "log_every": 2, "evaluate_every": 0, "sample_every": 0, "device": "cpu"}
    return Trainer(family, data, build.optimizers(composed), Options(**(defaults | options)), folder=folder)


def hurried(family: Family) -> Family:
    """The family with a few steps of its samplers and likelihoods: enough for shapes and names, not for figures."""
    for module in family.modules():
        for name in ("sample_steps", "likelihood_steps"):
            if hasattr(module, name):
                setattr(module, name, 3)
    return family.eval()


def equal(a, b) -> bool:
    """Whether two nested states are the same to the bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


class Tape:
    """Stands in for a CUDA graph: a replay runs the function anew and writes into the same outputs."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, function, device=None):
        self.recorded += 1
        outputs = function()

        def replay():
            self.replayed += 1
            for old, new in zip(outputs, function(), strict=True):
                for key, value in new.items():
                    old[key].copy_(value)

        return replay, outputs


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are traced and run operation by operation: what a compiler is given, without the minutes it takes."""
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)  # pytest would keep every line of it


class Cli:
    """`genlab` in this process: returns (exit code, stdout, stderr)."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        code = main(list(arguments))
        out, err = self.capsys.readouterr()
        return code, out, err


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where resized images are kept: in the test's own folder, not the user's."""
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "root" / "genlab-cache"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    return Cli(capsys)


__all__ = [
    "DATA",
    "MODELS",
    "POINTS_ONLY",
    "PRESETS",
    "Cli",
    "blobs",
    "config",
    "dataset",
    "equal",
    "hurried",
    "moons",
    "noise",
    "trainer",
]
