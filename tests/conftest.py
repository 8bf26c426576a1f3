"""Shared helpers: composed configs, small data sets of every layout, trainers, the command line run in-process."""

import copy
import datetime
import functools
import logging
import os
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import pytest
import torch
from omegaconf import DictConfig

from genlab import configs
from genlab.cli import main
from genlab.config import build
from genlab.config.compose import compose
from genlab.data.base import Dataset, Range, Split
from genlab.data.fields import Field
from genlab.data.gaussian2d import Gaussian2D
from genlab.data.packed import Packed, pack, presence
from genlab.data.pairs import Pairs
from genlab.data.table import Table
from genlab.models.base import Family
from genlab.trainer.execution import compiled
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

if TYPE_CHECKING:
    import pyarrow

torch.set_num_threads(1)  # the tensors are small: threads would only wait for one another

MODELS = sorted(path.stem for path in (configs() / "model").glob("*.yaml"))
PRESETS = sorted(path.stem for path in (configs() / "experiment").glob("*.yaml"))
DATA = ("points", "images", "table", "series", "graph")
ONLY = {"boltzmann": "points", "timegan": "series", "digress": "graph"}  # models of one kind
ONLY |= dict.fromkeys(("ctgan", "tabddpm"), "table")
NO_GRAPHS = ("cyclegan", "flow")  # models of several kinds, but not of graphs


def models_of(kind: str) -> list[str]:
    """Returns the models that learn from a kind of data."""
    refused = NO_GRAPHS if kind == "graph" else ()
    return [model for model in MODELS if ONLY.get(model, kind) == kind and model not in refused]


PAIRS = [(model, kind) for kind in DATA for model in models_of(kind)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("real_data") and "GENLAB_DATA" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="GENLAB_DATA is not set to a folder with the real files"))


def config(*overrides: str) -> DictConfig:
    """Returns the config of `genlab train` with these overrides; `${hydra:...}` stays unresolved."""
    return copy.deepcopy(_composed(overrides))


@functools.cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    """Composes a config once: the tests ask for the same few configs hundreds of times."""
    composed = compose("train", overrides)
    composed.name = "test"
    return composed


def blobs(size: int = 28, range: Range = "symmetric", n: int = 64) -> Dataset:
    """Returns images (1, size, size) of a bright square whose position depends on the class."""
    y = torch.arange(n) % 10
    x = torch.zeros(n, 1, size, size, dtype=torch.uint8)
    for i, k in enumerate(y.tolist()):
        x[i, 0, 2 * k : 2 * k + 6, 4:12] = 200 + i % 50
    split = Split(x, y)
    return Dataset("blobs", {"train": split, "validation": split, "test": split}, range, classes=10)


def noise(n: int = 40, side: int = 16, range: Range = "symmetric", seed: int = 0) -> Dataset:
    """Returns images (1, side, side) of uniformly random pixels, with the labels 0 to 9 in turn."""
    g = torch.Generator().manual_seed(seed)

    def split(size: int) -> Split:
        x = torch.randint(256, (size, 1, side, side), generator=g).to(torch.uint8)
        return Split(x, torch.arange(size) % 10)

    return Dataset("noise", {"train": split(n), "validation": split(12), "test": split(12)}, range, classes=10)


def waves(n: int = 64, channels: int = 3, steps: int = 12) -> Dataset:
    """Returns series (channels, steps) of real numbers: sines of random frequency and phase."""
    g = torch.Generator().manual_seed(0)

    def split(size: int) -> Split:
        frequency, phase = torch.rand(2, size, channels, 1, generator=g)
        return Split((frequency * torch.arange(steps) + 6 * phase).sin())

    return Dataset("waves", {"train": split(n), "validation": split(24), "test": split(24)}, "real")


def moons(n: int = 64) -> Pairs:
    """Returns pairs of the two moons and their image under the known transform."""
    return Pairs(Gaussian2D("moons", n=n))


@functools.cache
def rows(n: int = 100) -> "pyarrow.Table":
    """A table with a column of each kind: numbers, words, a date, missing cells, an identifier, a constant."""
    import pyarrow

    g = torch.Generator().manual_seed(0)
    k = torch.randint(3, (n,), generator=g)
    size = (10 * k + torch.randn(n, generator=g)).round(decimals=1).tolist()
    days = torch.randint(700, (n,), generator=g).tolist()
    return pyarrow.table(
        {
            "id": list(range(1, n + 1)),
            "colour": [("red", "green", "blue")[i] for i in k.tolist()],
            "size": [None if i % 9 == 0 else value for i, value in enumerate(size)],
            "count": torch.randint(5, (n,), generator=g).tolist(),
            "when": [datetime.date(2020, 1, 1) + datetime.timedelta(days=d) for d in days],
            "big": [i % 2 == 0 for i in days],
            "unit": ["cm"] * n,
        }
    )


@functools.cache
def _packed_graphs(n: int, places: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    sizes = torch.randint(3, places + 1, (n, 1), generator=g)
    here = (torch.arange(places) < sizes).float()
    atoms = torch.eye(2)[torch.randint(2, (n, places), generator=g)]
    bonds = torch.eye(3)[torch.randint(3, (n, places, places), generator=g)]
    x = pack(torch.cat([here[..., None], atoms], dim=2), bonds)
    return x * presence(here, Packed(places, 3, 3))


def graphs(n: int = 40, places: int = 5) -> Dataset:
    """Returns random graphs of 3 to `places` nodes, with two labels of nodes, and no edge or one of two kinds."""
    fields = (
        Field("present", "present", part="node"),
        Field("atom", "category", 2, part="node", labels=("C", "O")),
        Field("bond", "category", 3, part="edge", labels=("none", "single", "double")),
    )
    x = _packed_graphs(n, places)
    splits = {name: Split(x[: n if name == "train" else 12]) for name in ("train", "validation", "test")}
    return Dataset("graphs", splits, fields, nodes=places)


def dataset(kind: str, model: str = "gan") -> Dataset:
    """Small data of a kind, in the range and the number of domains that the model wants."""
    family = resolve_name(config(f"model={model}").model._target_)
    if kind == "points":
        data: Dataset = Gaussian2D(n=100)
    elif kind == "series":
        data = waves()
    elif kind == "graph":
        data = graphs()
    else:
        data = blobs(range=family.prefers) if kind == "images" else Table(rows(), label="colour", rare=1)
    return data if family.domains == 1 else Pairs(data)


def trainer(model: str, data: Dataset, folder: Path | None = None, **options) -> Trainer:
    """Returns a trainer as `genlab train` builds it, with the model's own config and small batches."""
    composed = config(f"model={model}", "data=mnist" if data.spec.layout == "image" else "data=gaussian2d")
    torch.manual_seed(0)
    family = build.family(composed, data.spec)
    defaults = {"batch_size": 8, "log_every": 2, "evaluate_every": 0, "sample_every": 0, "device": "cpu"}
    return Trainer(family, data, build.optimizers(composed), Options(**(defaults | options)), folder=folder)


def with_few_steps(family: Family) -> Family:
    """Sets 3 steps for samplers and likelihoods: enough to test shapes and names, too few to test values."""
    for module in family.modules():
        for name in ("sample_steps", "likelihood_steps"):
            if hasattr(module, name):
                setattr(module, name, 3)
    return family.eval()


def equal(a, b) -> bool:
    """Returns whether two nested states are equal bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


class Tape:
    """A stand-in for a CUDA graph: a replay runs the function again and writes into the same outputs."""

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
    """Traces graphs and runs them operation by operation, which saves the minutes of a real compilation."""
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)  # pytest would keep every line of it


class Cli:
    """Runs `genlab` in this process and returns (exit code, stdout, stderr)."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        code = main(list(arguments))
        out, err = self.capsys.readouterr()
        return code, out, err


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Moves the cache of resized images into the test's own folder and returns its path."""
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
    "ONLY",
    "PAIRS",
    "PRESETS",
    "Cli",
    "blobs",
    "config",
    "dataset",
    "equal",
    "graphs",
    "models_of",
    "moons",
    "noise",
    "rows",
    "trainer",
    "waves",
    "with_few_steps",
]
