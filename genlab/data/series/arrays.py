"""Series from .npy and .npz files, (N, T, C), as a table of their steps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genlab.data.frames import learn
from genlab.data.frames.read import Frame
from genlab.data.numpy_file import labels_of, load
from genlab.data.series.records import Choice, Records
from genlab.data.series.source import Source
from genlab.errors import UserError


def read_array(file: Path, key: str | None, label: str | None, choice: Choice) -> Records:
    """Reads a .npy or .npz file: numbers (N, T, C), with classes (N,) in an array "y" beside "x", or `label`.

    Raises:
        UserError: the file is damaged, holds Python objects, or has an array of another shape or type.
    """
    x, y, key = load(file, key, label)
    if x.dtype.kind not in "fiub":
        raise UserError(f"{file.name} holds {x.dtype}, not numbers (N, T, C)")
    if x.ndim != 3:
        cure = {
            1: "x[None, :, None]",
            2: "x[None] for one series, x[:, :, None] for N series of one channel",
        }
        more = f"; write {cure[x.ndim]}" if x.ndim in cure else ""
        raise UserError(f"{file.name} has the shape {x.shape}; series are (N, T, C): series, steps, channels{more}")
    if not x.size:
        raise UserError(f"{file.name}: an array of shape {x.shape} has no numbers")
    labels = None if y is None else labels_of(file, y, len(x))
    source = Source((), label=(label or "y") if labels else "", key=key, dtype=str(x.dtype))
    records = of_arrays(file.name, file.suffix.lower(), list(x), source, labels, choice)
    if x.shape[1] < x.shape[2]:
        records = records.noted(
            f"{file.name}: {x.shape[1]} steps of {x.shape[2]} channels, as arrays are (N, T, C); if it is (N, C, T), "
            f"save x.transpose(0, 2, 1)"
        )
    return records


def of_arrays(
    name: str, suffix: str, arrays: Sequence[np.ndarray], source: Source, labels: list[str] | None, choice: Choice
) -> Records:
    """Makes records of series (T, C) each, T may differ.

    Raises:
        UserError: a number is infinite, or a channel that is asked for does not exist.
    """
    import pyarrow

    lengths = np.array([len(array) for array in arrays])
    starts = np.cumsum(lengths) - lengths

    def place(row: int) -> str:
        series = int(np.searchsorted(starts, row, side="right")) - 1
        return f"{name}: series {series + 1}, step {row - starts[series] + 1}"

    flat = np.concatenate(list(arrays))
    if flat.dtype.kind == "f" and (bad := np.isinf(flat).any(axis=1)).any():
        row = int(bad.argmax())
        channel = int(np.isinf(flat[row]).argmax())
        raise UserError(f"{place(row)}, channel {channel + 1}: {flat[row, channel]} is not a finite number")
    if flat.dtype.kind == "b":
        flat = flat.astype(np.uint8)
    if flat.dtype.kind == "f" and flat.dtype.itemsize not in (4, 8):
        flat = flat.astype(np.float32 if flat.dtype.itemsize == 2 else np.float64)
    table = pyarrow.table({f"channel {i + 1}": np.ascontiguousarray(flat[:, i]) for i in range(flat.shape[1])})
    frame = Frame(name, table, suffix)
    chosen = learn.select(frame, choice.columns, choice.exclude, None)
    found = learn.read_columns(frame, chosen, choice.types, choice.missing)
    names = tuple(str(i + 1) for i in range(len(arrays)))
    return Records(frame, found, lengths, names, place, source._replace(names=tuple(chosen)), labels)
