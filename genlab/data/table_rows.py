"""The rows of a table as numbers, packed: see `genlab.data.columns.schema`."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from genlab.data.base import mix
from genlab.data.columns.base import Column
from genlab.data.columns.category import Category
from genlab.data.columns.schema import CHUNK, Schema
from genlab.data.frames.kinds import Typed

NOISE = 0x7AB1E  # separates the random numbers that spread repeated values from those of training


def encode(table: Schema, found: Sequence[Typed], order: np.ndarray) -> Tensor:
    """The rows in this order, packed: (N, fields) float32."""
    x = torch.empty(len(order), len(table.fields))
    generator = torch.Generator().manual_seed(mix(NOISE))
    for start in range(0, len(order), CHUNK):
        part = order[start : start + CHUNK]
        encoded = []
        for column, read_ in zip(table.columns, found, strict=True):
            units = column.units(numbers(column, read_, part))
            encoded.append(column.encode(units, torch.rand(len(part), 2, generator=generator, dtype=torch.float64)))
        x[start : start + len(part)] = table.pack(torch.cat(encoded, dim=1))
    return x


def numbers(column: Column, read_: Typed, part: np.ndarray) -> np.ndarray:
    """The values of rows `part` (N,) as `Column.units` takes them."""
    values = read_.values[part]
    if not isinstance(column, Category):
        return values
    words = read_.words if read_.missing is None else (*read_.words, read_.missing)
    channels = column.index(words)
    channels[channels < 0] = column.width - 1 if column.rare else 0
    return channels[np.nan_to_num(values, nan=len(read_.words)).astype(np.int64)]


def encode_to(file: Path, table: Schema, found: Sequence[Typed], order: np.ndarray) -> None:
    """Writes the rows in this order, packed, to a .npy file (N, fields) float32, a column at a time."""
    x = np.lib.format.open_memmap(file, "w+", np.float32, (len(order), len(table.fields)))
    if hasattr(os, "posix_fallocate"):  # a full disk is an error here; on writing through the map, it would be a signal
        with open(file, "r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, os.fstat(opened.fileno()).st_size)
    place = 0
    for i, (column, read_) in enumerate(zip(tqdm(table.columns, "encoding", disable=None), found, strict=True)):
        own = Schema([column])
        if not own.width:
            continue
        read_ = read_._replace(values=np.array(read_.values))
        generator = torch.Generator().manual_seed(mix(NOISE, i))
        for start in range(0, len(order), CHUNK):
            part = order[start : start + CHUNK]
            noise = torch.rand(len(part), 2, generator=generator, dtype=torch.float64)
            encoded = column.encode(column.units(numbers(column, read_, part)), noise)
            x[start : start + len(part), place : place + len(own.fields)] = own.pack(encoded).numpy()
        place += len(own.fields)
    x.flush()
