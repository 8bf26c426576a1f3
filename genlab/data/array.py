"""The user's own tables and arrays: .csv, .parquet, .npy, .npz.

Columns of numbers are standardised, x = (v - m) / s with the mean m and deviation s of the training split, because
networks and noise work at scale 1. Samples are converted back by v = m + s x. The density of v is that of x times a
constant,

    log p(v) = log p(x) - Σ log s                                                           (`Spec.log_scale`)

and the losses and likelihoods that a run reports are those of x, which has all columns on one scale.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from genlab.data.base import Dataset, Range, digest
from genlab.data.csv_file import read_csv
from genlab.data.files import check_version, find
from genlab.data.labels import classes
from genlab.data.numpy_file import read_numpy
from genlab.data.parquet_file import read_parquet
from genlab.data.scaling import check_precision, scale, standardise
from genlab.data.splits import cut, plan
from genlab.data.tables import Table
from genlab.errors import UserError, choose

SUFFIXES = (".csv", ".npy", ".npz", ".parquet")


class Array(Dataset):
    """A table or array of your own: data.path=FILE, .csv, .parquet, .npy or .npz; columns standardised.

    Rows are held out pseudo-randomly, the same ones in every run. With labels each class is split separately, the split
    depends only on the labels, and training has at least one row of every class; without labels the split depends only
    on the number of rows.

    Args:
        path: the file. Arrays are (N, D) or (N,) numbers, or uint8 images (N, H, W), (N, 1 or 3, H, W) or
            (N, H, W, 1 or 3).
        key: the name of an array of an .npz file; None: the only one, or "x" with the labels "y" (N,), if present.
        label: the column of classes of a .csv or .parquet file; None: no labels.
        columns: the columns to learn; None: all but the label and an index that pandas wrote.
        header: whether the first line of a .csv file has the names of the columns.
        range: range of images: "symmetric" [-1, 1], "unit" [0, 1] or "binary".
        validation, test: shares of the samples, at least one sample each.
        version: version of the rules for reading and splitting files; a run keeps the version that it started with.
            1 ignores classes when it holds out rows, and accepts some cells and labels that version 2 rejects.

    Raises:
        UserError: the file or a column does not exist, a cell is not a finite number, a label is missing, a column is
            constant, or a cell is so far out that single precision blurs its column; cells are named by line and
            column.
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
        *,
        version: int = 2,
    ) -> None:
        check_version(version)
        file = find(path, "file")
        table = read(file, key, label, columns, header, version)
        y, labels = classes(file, table.labels, label or "y", version)
        places, sizes = plan(len(table.x), y if version > 1 else None, validation, test)
        y = None if y is None else y[places]
        x, fields = table.x[places.numpy()], range
        content = hashlib.sha256(np.ascontiguousarray(table.x).tobytes()).hexdigest()
        identity = (content, str(x.dtype), x.shape, table.names, table.labels)
        fingerprint = digest(*identity, validation, test) if version == 1 else digest(*identity, sizes, version)
        if x.ndim == 2:
            fields = scale(file, table.names, x[: sizes[0]])
            if version > 1:
                check_precision(file, table, places, sizes[0], fields)
            x = standardise(x, fields)
        super().__init__(file.name, cut(torch.from_numpy(x), y, sizes), fields, len(labels), labels, fingerprint)


def read(
    file: Path, key: str | None, label: str | None, columns: Sequence[str] | None, header: bool, version: int
) -> Table:
    """Reads a file of any supported kind.

    Raises:
        UserError: the file has another suffix or cannot be read, or an option does not apply to its kind.
    """
    suffix = file.suffix.lower()
    choose("data.path (file suffix)", suffix, SUFFIXES)
    is_table = suffix in (".csv", ".parquet")
    for name, given, fits in (
        ("key", key is not None, suffix == ".npz"),
        ("label", label is not None, is_table),
        ("columns", columns is not None, is_table),
        ("header", not header, suffix == ".csv"),
    ):
        if given and not fits:
            raise UserError(f"data.{name} does not apply to {suffix} files")
    if suffix == ".csv":
        return read_csv(file, columns, label, header, version)
    if suffix == ".parquet":
        return read_parquet(file, columns, label, version)
    return read_numpy(file, key, version)
