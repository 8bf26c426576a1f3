"""Series from outside as a trained model reads them: files in the format of its source, and frames."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genlab.data.frames import given, read
from genlab.data.frames.read import Frame
from genlab.data.numpy_file import load
from genlab.data.series.records import Choice
from genlab.data.series.source import Source
from genlab.data.series.ts_file import read_ts
from genlab.data.series.write import ARRAYS, columns, counter, format_of
from genlab.data.spec import Spec
from genlab.errors import UserError


def of_file(path: Path, spec: Spec) -> Tensor | None:
    """Reads series from a file like the source: units (N, C, T) float64; None for an array of another form.

    Raises:
        UserError: the file is damaged, lacks columns, or its series have other lengths.
    """
    suffix = path.suffix.lower()
    _, source = format_of(spec)
    if suffix == ".ts":
        records = read_ts(path, Choice())
        lengths = {int(length) for length in records.lengths}
        if lengths != {spec.shape[1]}:
            raise UserError(f"{path.name}: its series must have {spec.shape[1]} steps; they have {_list(lengths)}")
        return _units(spec, records.frame)
    if suffix not in ARRAYS:
        return of_frame(read.read(path, header=format_of(spec)[0].header, option="samples"), spec)
    if suffix == ".npz" and not (source.key and source.key in keys(path)):
        return None
    x = load(path, source.key or None)[0]
    return of_array(x, spec, path.name) if x.ndim == 3 and x.shape[1:] == (spec.shape[1], len(source.names)) else None


def of_array(x: np.ndarray, spec: Spec, name: str) -> Tensor:
    """Series (N, T, channels) with all channels of the source, in its values: units (N, C, T) float64."""
    import pyarrow

    _, source = format_of(spec)
    flat = x.reshape(-1, x.shape[2])
    flat = flat.astype(np.uint8) if flat.dtype.kind == "b" else flat
    if flat.dtype.kind == "f" and np.isinf(flat).any():
        raise UserError(f"{name} has a value that is not finite in series {int(np.isinf(x).any((1, 2)).argmax()) + 1}")
    columns = {channel: np.ascontiguousarray(flat[:, i]) for i, channel in enumerate(source.names)}
    return _units(spec, Frame(name, pyarrow.table(columns), ".npy"))


def of_frame(frame: Frame, spec: Spec) -> Tensor:
    """A long table of series, or a wide one with a column `sample`: units (N, C, T) float64.

    Raises:
        UserError: the column that tells series apart is absent, or a series has another number of steps.
    """
    import pyarrow

    schema, source = format_of(spec)
    frame = named(frame, source, schema.header)
    read.check_names(frame.name, frame.table.column_names)
    name, length = counter(source), spec.shape[1]
    if not frame.table.num_rows:
        raise UserError(f"{frame.name} has no series")
    if name not in frame.table.column_names:
        raise UserError(f"{frame.name} lacks the column '{name}', which tells series apart")
    codes = frame.table.column(name).cast(pyarrow.string()).combine_chunks().dictionary_encode()
    place = codes.indices.fill_null(-1).to_numpy().astype(np.int64)
    counts = np.bincount(place[place >= 0])
    if (place < 0).any() or (counts != length).any():
        bad = codes.dictionary.to_pylist()[int((counts != length).argmax())] if (counts != length).any() else ""
        steps = f"series '{bad}' has {counts[counts != length][0]}" if bad else "a row has no id"
        raise UserError(f"{frame.name}: series must have {length} steps, as the model's; {steps}")
    if (np.diff(place) < 0).any():
        frame = frame._replace(table=frame.table.take(place.argsort(kind="stable")), path=None)
    return _units(spec, frame)


def named(frame: Frame, source: Source, header: bool) -> Frame:
    """Names the columns of a file without a header as samples are written, if it has as many."""
    if header:
        return frame
    for classed in (True, False):
        names = columns(source, classed)
        if len(names) == len(frame.table.column_names):
            return frame._replace(table=frame.table.rename_columns(names))
    return frame


def _units(spec: Spec, frame: Frame) -> Tensor:
    """The rows of a frame, series after series, as series in units (N, C, T)."""
    schema, _ = format_of(spec)
    rows = given.units(schema, frame)[0]
    return torch.as_tensor(rows).unflatten(0, (-1, spec.shape[1])).transpose(1, 2)


def keys(path: Path) -> list[str]:
    """The names of the arrays of an .npz file; [] if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return list(arrays)
    except Exception:  # which exception numpy and zipfile raise depends on the damage
        return []


def _list(lengths: set[int]) -> str:
    return f"{min(lengths)}" if len(lengths) == 1 else f"{min(lengths)} to {max(lengths)}"
