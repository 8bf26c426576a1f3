"""Small user files for tests: tables whose columns differ in scale, and images of one colour."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("tiny", "plain", "huge", "skewed", "shifted")


def values(n: int = 200) -> np.ndarray:
    """Returns an array (n, 5) whose columns have very different scales."""
    z = np.random.default_rng(0).normal(size=(n, 5))
    return np.stack([1e-3 * z[:, 0], z[:, 1], 1e5 + 1e4 * z[:, 2], np.exp(z[:, 3]), 1.7e9 + z[:, 4]], axis=1)


def write(path: Path, rows: np.ndarray, names=NAMES, labels=None) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, *(["kind"] if labels else [])])
        writer.writerows([*map(repr, row.tolist()), *([labels[i]] if labels else [])] for i, row in enumerate(rows))
    return path


def paint(path: Path, colour=(200, 30, 60), size=(40, 30), mode="RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def pictures(folder: Path, n: int = 12, **options) -> Path:
    for i in range(n):
        paint(folder / f"{i:02}.png", (20 * i, 100, 255 - 20 * i), (30 + i, 50 - i), **options)
    return folder
