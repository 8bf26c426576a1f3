"""Caches the images of a folder, cropped and resized, in one .npy file that can be mapped into memory."""

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from genlab.data.base import cache_folders, digest
from genlab.data.files import note
from genlab.data.image_files import DARK, Head, bits_used, brightest, head, read, refuse
from genlab.errors import UserError, brief
from genlab.runs.files import move, removed_on_failure


def cached(
    folder: Path,
    paths: Sequence[Path],
    places: Sequence[int],
    size: int,
    channels: int | str,
    root: str | None,
    version: int,
    *settings: object,
) -> Path:
    """Returns the .npy file (N, C, size, size) uint8 of these images in the order `places`; writes it if it is missing.

    The file is named `<folder and settings>-<names, sizes, times>-<content>.npy`. Older files of the same folder and
    settings are removed.

    Args:
        settings: everything that `places` depends on besides the names of the files.

    Raises:
        UserError: some images are bad, or the file cannot be written anywhere.
    """
    # A broken link, or a file deleted meanwhile, has no size and no time: it is reported as bad when it is opened.
    stats = [(s.st_size, s.st_mtime_ns) if (s := _stat(path)) else None for path in paths]
    settings_digest = digest(str(folder), size, channels, *([version, *settings] if version > 1 else []))
    source_digest = digest([str(path.relative_to(folder)) for path in paths], stats)
    folders = cache_folders(root)
    for cache_folder in folders:
        for file in cache_folder.glob(f"{settings_digest}-{source_digest}-*.npy"):
            if _is_complete(file, len(paths)):
                return file
    for cache_folder in folders:
        try:
            cache_folder.mkdir(parents=True, exist_ok=True)
            with removed_on_failure(cache_folder / f"{os.getpid()}.tmp") as temporary:
                content = build(folder, paths, places, size, channels, temporary, version)
                file = cache_folder / f"{settings_digest}-{source_digest}-{content}.npy"
                for old in cache_folder.glob(f"{settings_digest}-*.npy"):
                    with suppress(OSError):  # some systems cannot remove a file in use
                        old.unlink()
                move(temporary, file)
            return file
        except OSError as error:
            reason = error
    raise UserError(f"data.root: cannot write the cache in {folders[-1]}: {reason.strerror or brief(reason)}")


def _stat(path: Path) -> os.stat_result | None:
    with suppress(OSError):
        return path.stat()
    return None


def _is_complete(file: Path, n: int) -> bool:
    """Returns whether a cache file can be read and has `n` images."""
    try:
        x = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return x.dtype == np.uint8 and x.ndim == 4 and len(x) == n


def build(
    folder: Path,
    paths: Sequence[Path],
    places: Sequence[int],
    size: int,
    channels: int | str,
    target: Path,
    version: int,
) -> str:
    """Writes all images in the order `places` to `target`; returns 16 digits of the SHA-256 of their pixels.

    The file is written sequentially and not through a memory map, so that a full disk is an error and not a signal.

    Raises:
        UserError: files are not images, damaged or too large; the message names the first few and counts the rest.
        OSError: the file cannot be written.
    """
    from tqdm import tqdm

    sha, least, most = hashlib.sha256(), 255, 0
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool, open(target, "wb") as out:
        warnings.simplefilter("ignore")  # Pillow's, about odd but readable files and sizes that `head` rejects
        heads = list(pool.map(head, paths))
        refuse(folder, paths, heads)
        good_heads = [item for item in heads if isinstance(item, Head)]
        bits = _bits(folder, paths, good_heads, pool) if version > 1 else 16
        if channels == "auto":
            channels = 1 if all(item.is_gray for item in good_heads) else 3
        shape = (len(paths), int(channels), size, size)
        np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
        bad: dict[int, Exception] = {}
        images = pool.map(lambda i: read(paths[i], size, int(channels), bits), places)
        try:
            for i, image in zip(places, tqdm(images, f"reading {folder.name}", len(paths), disable=None), strict=True):
                if isinstance(image, Exception):
                    bad[i] = image
                    continue
                out.write(image.tobytes())
                sha.update(image.tobytes())
                least, most = min(least, int(image.min())), max(most, int(image.max()))
        finally:
            pool.shutdown(cancel_futures=True)  # stop reading on Ctrl-C or a full disk
        refuse(folder, paths, [bad.get(i, "") for i in range(len(paths))])
        out.flush()
        os.fsync(out.fileno())
    if most < DARK:
        note(f"{folder.name}: the largest pixel of all images is {most} of 255, so they are nearly black")
    elif least > 255 - DARK:
        note(
            f"{folder.name}: the smallest pixel of all images is {least} of 255, so they are nearly white; transparent "
            f"pixels are read as white"
        )
    return sha.hexdigest()[:16]


def _bits(folder: Path, paths: Sequence[Path], heads: Sequence[Head], pool: Executor) -> int:
    """Returns how many bits the 16-bit images of a folder use; one number for all keeps their brightness comparable.

    Raises:
        UserError: a file cannot be read, or has colours in the low bits, which Pillow drops.
    """
    deep = [path for path, info in zip(paths, heads, strict=True) if info.deep]
    if not deep:
        return 16
    maxima = list(pool.map(brightest, deep))
    refuse(folder, deep, maxima)
    largest = max(value for value in maxima if isinstance(value, int))
    bits = bits_used(largest)
    colour = [path for path, info in zip(paths, heads, strict=True) if info.deep and not info.mode.startswith("I;16")]
    if bits < 16 and colour:
        raise UserError(
            f"data.path: {folder.name}/{colour[0].relative_to(folder)} has 16-bit colours, and all such files use the "
            f"lowest {bits} bits only; as only the highest 8 are read, they would be nearly black; save them as 8-bit "
            f"images ({len(colour)} file{'s' if len(colour) > 1 else ''})"
        )
    if bits < 16:
        note(f"{folder.name}: 16-bit images with values up to {largest} are read as {bits}-bit: {2**bits - 1} is white")
    return bits
