"""Tables and arrays of one's own: .csv, .parquet, .npy, .npz.

Columns of numbers are standardised, x = (v - m) / s with the mean m and the deviation s of the training split, because
nets and noise are of the order of 1. Samples come back as v = m + s x. A density in v is the one in x times a constant,

    log p(v) = log p(x) - Σ log s                                                           (`Spec.log_scale`)

and the losses and likelihoods that a run reports are of x, those of different columns on one scale.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genlab.data.base import Column, Dataset, Range, digest
from genlab.data.files import cut, find, order
from genlab.data.tables import LARGEST, Table, finite, read_csv, read_parquet
from genlab.errors import UserError, brief, choose

SUFFIXES = (".csv", ".npy", ".npz", ".parquet")
MOST_CLASSES = 1000


class Array(Dataset):
    """A table or array of your own: data.path=FILE, .csv, .parquet, .npy or .npz; columns standardised.

    Held out are the last rows of a pseudo-random order that depends on their number alone.

    Args:
        path: the file. Arrays are (N, D) or (N,) numbers, or uint8 images (N, H, W), (N, 1 or 3, H, W) or
            (N, H, W, 1 or 3).
        key: which array of an .npz file; None: the only one, or "x" (with labels "y", if it has them).
        label: the column of classes of a .csv or .parquet file; None: no labels.
        columns: those to learn; None: all but the label.
        header: whether the first line of a .csv file has the names of the columns.
        range: of images: "symmetric" [-1, 1], "unit" [0, 1] or "binary".
        validation, test: shares of the samples, at least one each.

    Raises:
        UserError: no such file or column, a cell that is no finite number, a constant column: by line and column.
    """

    def __init__(
        self,
        path: str,
        key: str | None = None,
        label: str | None = None,
        columns: Sequence[str] | None = None,
        header: bool = True,
        range: Range = "unit",
        validation: float = 0.1,
        test: float = 0.1,
    ) -> None:
        file = find(path, "file")
        suffix = file.suffix.lower()
        choose("data.path: the ending", suffix, SUFFIXES)
        table = suffix in (".csv", ".parquet")
        for name, given, fits in (
            ("key", key is not None, suffix == ".npz"),
            ("label", label is not None, table),
            ("columns", columns is not None, table),
            ("header", not header, suffix == ".csv"),
        ):
            if given and not fits:
                raise UserError(f"data.{name}: has no place with a {suffix} file")
        if suffix == ".csv":
            read = read_csv(file, columns, label, header)
        elif suffix == ".parquet":
            read = read_parquet(file, columns, label)
        else:
            read = read_numpy(file, key)
        places = order(len(read.x))
        y, labels = classes(file, read.labels, label)
        y = None if y is None else y[places]
        x = read.x[places.numpy()]
        content = hashlib.sha256(np.ascontiguousarray(read.x).tobytes()).hexdigest()
        fingerprint = digest(content, str(x.dtype), x.shape, read.names, read.labels, validation, test)
        splits, scales = cut(torch.from_numpy(x), y, validation, test), ()
        if x.ndim == 2:
            scales = scale(file, read.names, x[: len(splits["train"].x)])
            x = (x - [c.mean for c in scales]) / [c.deviation for c in scales]
            splits, range = cut(torch.from_numpy(x.astype(np.float32)), y, validation, test), "real"
        super().__init__(file.name, splits, range, len(labels), scales, labels, fingerprint)


def scale(file: Path, names: Sequence[str], x: np.ndarray) -> tuple[Column, ...]:
    """Mean and deviation of each column of x (N, D).

    Raises:
        UserError: a column is constant: it has no density, and nothing to learn.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        means, deviations = x.mean(0), x.std(0)
    for i, name in enumerate(names):
        if (x[:, i] == x[0, i]).all():
            raise UserError(
                f"{file.name}: column '{name}' is {x[0, i]:g} in every row of the training split; "
                f"a constant cannot be learned, leave it out"
            )
        if not (np.isfinite(deviations[i]) and deviations[i] > 0):
            raise UserError(f"{file.name}: column '{name}' has numbers too large or too alike to standardise")
    return tuple(Column(n, float(m), float(s)) for n, m, s in zip(names, means, deviations, strict=True))


def classes(file: Path, labels: list[str] | None, column: str | None) -> tuple[torch.Tensor | None, tuple[str, ...]]:
    """Class numbers (N,) and the names of the classes, in alphabetical order, numbers by size; None and () if none.

    Raises:
        UserError: there are so many that they can be no classes, or a row has none.
    """
    if labels is None:
        return None, ()
    if "" in labels:
        raise UserError(f"{file.name}: column '{column}' is empty in row {labels.index('') + 1}")
    found = set(labels)
    if len(found) > MOST_CLASSES:
        raise UserError(f"data.label: column '{column}' has {len(found):,} values, more than {MOST_CLASSES} classes")
    try:
        names = sorted(found, key=float)
    except ValueError:
        names = sorted(found)
    number = {name: k for k, name in enumerate(names)}
    return torch.tensor([number[each] for each in labels]), tuple(names)


def read_numpy(file: Path, key: str | None = None) -> Table:
    """Read a .npy or .npz file: numbers (N, D) as float64, images (N, C, H, W) as uint8.

    Raises:
        UserError: it is damaged, has Python objects, or an array of another kind.
    """
    labels = None
    try:
        if file.suffix.lower() == ".npz" and zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if sum(each.file_size for each in archive.infolist()) > 8 * LARGEST:
                    raise UserError(f"{file.name}: unpacks to more than {8 * LARGEST:,} bytes")
        # No pickle: it could run anything.
        found: Any = np.load(file, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.ndarray):
            x = found
        else:
            with found as arrays:
                names = list(arrays)
                if key is None and len(names) > 1 and "x" not in names:
                    raise UserError(f"data.key: {file.name} has {', '.join(names)}; which of them?")
                choose("data.key", chosen := key or ("x" if "x" in names else names[0] if names else "x"), names)
                x = arrays[chosen]
                if chosen == "x" and "y" in names:
                    labels = [str(each) for each in arrays["y"].reshape(-1).tolist()]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = "it holds Python objects" if "bject" in str(error) else brief(error)
        raise UserError(f"{file.name} cannot be read as an array of numbers: {reason}") from error
    if labels is not None and len(labels) != len(x):
        raise UserError(f"{file.name}: {len(labels)} labels 'y' for {len(x)} samples 'x'")
    if x.ndim in (1, 2) and x.dtype.kind in "fiub" and x.size:
        if x.size > LARGEST:
            raise UserError(f"{file.name}: more than {LARGEST:,} numbers, too many to hold in memory")
        x = np.asarray(x, np.float64).reshape(len(x), -1)
        names = [f"x{i}" for i in range(x.shape[1])]
        finite(file, names, x)
        return Table(tuple(names), x, labels)
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim == 4 and x.dtype == np.uint8 and x.shape[1] in (1, 3) and x.size:
        return Table((), x, labels)
    raise UserError(
        f"{file.name}: an array of {x.dtype} of shape {x.shape}; allowed: numbers (N,) or (N, D), and images of uint8 "
        f"(0 to 255), (N, H, W), (N, 1 or 3, H, W) or (N, H, W, 1 or 3)"
    )
