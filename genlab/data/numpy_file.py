"""Reads .npy and .npz files: numbers, or uint8 images."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from genlab.data.files import note, quoted
from genlab.data.image_files import DARK
from genlab.data.labels import complete, name_of
from genlab.data.tables import LARGEST, Table, check_digits, finite
from genlab.errors import UserError, brief, choose

ALLOWED = "numbers (N,) or (N, D), or uint8 images (0 to 255): (N, H, W), (N, 1 or 3, H, W) or (N, H, W, 1 or 3)"


def read_numpy(file: Path, key: str | None = None, version: int = 2) -> Table:
    """Reads a .npy or .npz file: numbers (N, D) as float64, images (N, C, H, W) as uint8.

    Raises:
        UserError: the file is damaged, holds Python objects, or has an array or labels of an unsupported type or shape.
    """
    x, y, _ = load(file, key)
    if not x.ndim:
        raise UserError(f"{file.name}: a single number, not an array; allowed: {ALLOWED}")
    labels = None if y is None else labels_of(file, y, len(x), version)
    if x.ndim in (1, 2) and x.dtype.kind in "fiub" and x.size:
        return _numbers(file, x, labels, version)
    images = x
    if x.ndim == 3:
        images = x[:, None]
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        images = x.transpose(0, 3, 1, 2)
    if images.ndim == 4 and images.dtype == np.uint8 and images.shape[1] in (1, 3) and images.size:
        if version > 1 and (most := int(images.max())) < DARK:
            raise UserError(
                f"{file.name}: the largest pixel is {most}, so all images would be nearly black; pixels are 0 to 255: "
                f"{f'multiply them by {255 // most}' if most else 'these are all 0'}"
            )
        return Table((), images, labels)
    advice = ""
    if x.ndim in (3, 4) and x.dtype.kind in "fb":
        advice = "; convert images in [0, 1] with (255 * x).round().astype('uint8')"
    raise UserError(f"{file.name}: cannot use an array of {x.dtype} of shape {x.shape}; allowed: {ALLOWED}{advice}")


def load(file: Path, key: str | None, label: str | None = None) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Returns the array of samples, the labels, if there are any, and the name of the array in an .npz file.

    Args:
        key: the name of the array; None: the only one, or "x".
        label: the name of the labels; None: "y", if the array is "x".

    Raises:
        UserError: the file is damaged, holds Python objects, or has no such array.
    """
    try:
        if file.suffix.lower() == ".npz" and zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if sum(member.file_size for member in archive.infolist()) > 8 * LARGEST:
                    raise UserError(f"{file.name}: unpacks to more than {8 * LARGEST:,} bytes")
        # No pickle: loading one can run arbitrary code.
        loaded: Any = np.load(file, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None, ""
        with loaded as arrays:
            names = list(arrays)
            if key is None and len(names) > 1 and "x" not in names:
                raise UserError(f"data.key: {file.name} has {', '.join(names)}; name one of them")
            choose("data.key", chosen := key or ("x" if "x" in names else names[0] if names else "x"), names)
            if label is not None:
                choose("data.label", label, [name for name in names if name != chosen])
            labels = label or ("y" if chosen == "x" and "y" in names else "")
            unread = [name for name in names if name not in (chosen, labels)]
            if unread and key is None:
                note(f"{file.name}: ignored: {quoted(unread)}; only 'x' and the labels 'y' are read")
            return arrays[chosen], arrays[labels] if labels else None, chosen
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = "it holds Python objects" if "bject" in str(error) else brief(error)
        raise UserError(f"{file.name} cannot be read as an array of numbers: {reason}") from error


def labels_of(file: Path, y: np.ndarray, n: int, version: int = 2) -> list[str]:
    """Returns the names of the classes y (n,) of n samples.

    Raises:
        UserError: they have another shape, a type that names no classes, or a label is missing.
    """
    if version > 1:
        if y.dtype.kind not in "biufUS":
            raise UserError(f"{file.name}: labels 'y' of {y.dtype}; classes must be text, numbers or booleans")
        if y.shape not in ((n,), (n, 1)):
            raise UserError(f"{file.name}: labels 'y' of shape {y.shape} for {n} samples 'x'; it must be ({n},)")
        # Through text, so that float32 0.1 stays 0.1 and does not become 0.10000000149011612.
        values = [float(str(value)) for value in y.ravel()] if y.dtype.kind == "f" else y.ravel().tolist()
        try:
            return complete(file, [name_of(value) for value in values], "y", lambda row: f"row {row + 1}")
        except UnicodeDecodeError as error:
            raise UserError(f"{file.name}: labels 'y' are bytes that are not UTF-8 text") from error
    if y.size != n:
        raise UserError(f"{file.name}: {y.size} labels 'y' for {n} samples 'x'")
    return [str(label) for label in y.reshape(-1).tolist()]


def _numbers(file: Path, x: np.ndarray, labels: list[str] | None, version: int) -> Table:
    if x.size > LARGEST:
        raise UserError(f"{file.name}: more than {LARGEST:,} numbers, too many to hold in memory")
    exact = x.reshape(len(x), -1)
    x = np.asarray(exact, np.float64)
    names = [f"x{i}" for i in range(x.shape[1])]
    finite(file, names, x)
    if version > 1 and exact.dtype.kind in "iu":
        for i, name in enumerate(names):
            check_digits(file, name, exact[:, i], x[:, i])
    return Table(tuple(names), x, labels)
