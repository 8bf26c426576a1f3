"""Small files of series for tests: long and wide tables, arrays, the UEA archive's format; and what data sets hold."""

import csv
from pathlib import Path

import numpy as np
import torch

from genlab.data.base import Dataset
from genlab.data.columns.category import Category
from genlab.data.columns.schema import Schema
from genlab.data.series.source import Clock, Source
from genlab.metrics.series.channels import values

DAY = np.datetime64("2024-01-01", "m")


def numbers(n: int, seed: int = 0) -> np.ndarray:
    """A walk of n steps with one decimal."""
    return np.random.default_rng(seed).normal(size=n).cumsum().round(1) + 0.0  # no -0.0


def lines(path: Path, header: str, cells: list[list], delimiter: str = ",") -> Path:
    text = [delimiter.join(map(str, row)) for row in cells]
    path.write_text("\n".join([header.replace(",", delimiter), *text]) + "\n", encoding="utf-8")
    return path


def wide(path: Path, n: int = 120, missing: bool = False) -> Path:
    """One series, a row a step: days, a number, a count, a word; some cells empty."""
    level, days = numbers(n), np.datetime64("2024-01-01") + np.arange(n)
    cells = []
    for i in range(n):
        number = "" if missing and i % 11 == 4 else level[i]
        word = "?" if missing and i % 23 == 9 else ("on", "off")[i // 9 % 2]
        cells.append([days[i], number, i * 7 % 211, word])
    return lines(path, "day,level,count,state", cells)


def long(path: Path, lengths: dict[str, int] | None = None, delimiter: str = ",") -> Path:
    """Several series in one table: hours, a number, a word, a static word, a class."""
    cells = []
    for k, (name, n) in enumerate((lengths or {"b": 40, "a": 30, "c": 9, "d": 35, "e": 50}).items()):
        level, place, kind = numbers(n, k), ("hill", "sea")[k % 2], ("x", "y")[k // 2 % 2]
        hours = DAY + 60 * np.arange(n)
        cells += [[name, hours[i], level[i], ("dry", "wet")[i * k % 2], place, kind] for i in range(n)]
    return lines(path, "station,hour,level,sky,place,kind", cells, delimiter)


def array(n: int = 20, steps: int = 12, channels: int = 3) -> np.ndarray:
    """Walks (n, steps, channels), float32; the last channel is constant."""
    x = np.random.default_rng(0).normal(size=(n, steps, channels)).cumsum(1).astype(np.float32)
    x[:, :, -1] = 1.5
    return x


def ts(path: Path, x: np.ndarray, labels: list[str] | None = None) -> Path:
    """The series x (n, T, C) in the UEA archive's format."""
    text = ["# made for a test", "@problemName Walks", f"@classLabel {'true up down' if labels else 'false'}", "@data"]
    for i, series in enumerate(x):
        cells = [",".join("?" if np.isnan(v) else f"{v:.4f}" for v in channel) for channel in series.T]
        text.append(":".join([*cells, *([labels[i]] if labels else [])]))
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


def rows(path: Path, delimiter: str = ",") -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def every(data: Dataset, split: str = "train") -> torch.Tensor:
    """All windows of a split in units, one number for each cell: (N, C, T)."""
    return values(data.spec, data.real(split, len(data.splits[split].x)))


def source_of(data: Dataset) -> Source:
    assert isinstance(data.spec.source, Source)
    return data.spec.source


def steps_of(data: Dataset) -> Schema:
    assert data.spec.steps is not None
    return data.spec.steps


def labels_of(data: Dataset) -> torch.Tensor:
    y = data.splits["train"].y
    assert y is not None
    return y


def words_of(data: Dataset, name: str) -> tuple[str, ...]:
    column = steps_of(data).column(name)
    assert isinstance(column, Category)
    return column.words


def clock_of(data: Dataset) -> Clock:
    clock = source_of(data).clock
    assert clock is not None
    return clock
