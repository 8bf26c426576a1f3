"""The cache of a folder of images: all of them, cut and resized, in one .npy file that can be mapped into memory."""

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from genlab.data.base import data_root, digest
from genlab.data.files import note
from genlab.data.image_files import DARK, Head, bits_used, brightest, head, read, refuse
from genlab.errors import UserError, brief
from genlab.machine import cache_root
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
    """The .npy file (N, C, size, size) uint8 of these images in the order `places`, made now if it is not there yet.

    It is named `<folder and settings>-<names, sizes, times>-<content>.npy`. Older ones of the same folder and settings
    are removed.

    Args:
        settings: all that `places` depends on beside the names of the files.

    Raises:
        UserError: bad images, or no place that takes the file.
    """
    # A file that is a broken link, or gone since, has no size and no time: it is named as bad when it is opened.
    stats = [(s.st_size, s.st_mtime_ns) if (s := _stat(path)) else None for path in paths]
    which = digest(str(folder), size, channels, *([version, *settings] if version > 1 else []))
    made_from = digest([str(path.relative_to(folder)) for path in paths], stats)
    found = [each / "genlab-cache" for each in dict.fromkeys((data_root(root), cache_root()))]
    for place in found:
        for file in place.glob(f"{which}-{made_from}-*.npy"):
            if _whole(file, len(paths)):
                return file
    for place in found:
        try:
            place.mkdir(parents=True, exist_ok=True)
            with removed_on_failure(place / f"{os.getpid()}.tmp") as temporary:
                content = build(folder, paths, places, size, channels, temporary, version)
                file = place / f"{which}-{made_from}-{content}.npy"
                for old in place.glob(f"{which}-*.npy"):
                    with suppress(OSError):  # in use, on some systems
                        old.unlink()
                move(temporary, file)
            return file
        except OSError as error:
            reason = error
    raise UserError(f"data.root: cannot write the cache in {found[-1]}: {reason.strerror or brief(reason)}")


def _stat(path: Path) -> os.stat_result | None:
    with suppress(OSError):
        return path.stat()
    return None


def _whole(file: Path, n: int) -> bool:
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
    """Read all images, write them in the order `places` to `target`; return 16 digits of the SHA-256 of their pixels.

    The file is written from front to end and not through a map of it: a full disk then is an error, and no signal.

    Raises:
        UserError: files that are no images, or damaged, or too large: the first few by name, and how many more.
        OSError: the file cannot be written.
    """
    from tqdm import tqdm

    sha, least, most = hashlib.sha256(), 255, 0
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool, open(target, "wb") as out:
        warnings.simplefilter("ignore")  # Pillow's on odd but readable files, and on sizes that `read` refuses anyway
        heads = list(pool.map(head, paths))
        refuse(folder, paths, heads)
        known = [each for each in heads if isinstance(each, Head)]
        bits = _bits(folder, paths, known, pool) if version > 1 else 16
        if channels == "auto":
            channels = 1 if all(each.is_gray for each in known) else 3
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
            pool.shutdown(cancel_futures=True)  # on Ctrl-C and on a full disk: read no further
        refuse(folder, paths, [bad.get(i, "") for i in range(len(paths))])
        out.flush()
        os.fsync(out.fileno())
    if most < DARK:
        note(f"{folder.name}: the largest pixel of all images is {most} of 255, so they are nearly black")
    elif least > 255 - DARK:
        note(
            f"{folder.name}: the smallest pixel of all images is {least} of 255, so they are nearly white; transparent "
            f"pixels are laid over white"
        )
    return sha.hexdigest()[:16]


def _bits(folder: Path, paths: Sequence[Path], heads: Sequence[Head], pool: Executor) -> int:
    """How many of their 16 bits the 16-bit images of a folder use; one number for all keeps them comparable.

    Raises:
        UserError: files that cannot be read, or colours in low bits, which Pillow drops.
    """
    deep = [path for path, each in zip(paths, heads, strict=True) if each.deep]
    if not deep:
        return 16
    found = list(pool.map(brightest, deep))
    refuse(folder, deep, found)
    largest = max(each for each in found if isinstance(each, int))
    bits = bits_used(largest)
    colour = [path for path, each in zip(paths, heads, strict=True) if each.deep and not each.mode.startswith("I;16")]
    if bits < 16 and colour:
        raise UserError(
            f"data.path: {folder.name}/{colour[0].relative_to(folder)} has 16-bit colours, and all such files use the "
            f"lowest {bits} bits only, most of which are not read, so that they would be nearly black; save them as "
            f"8-bit ones ({len(colour)} file{'s' if len(colour) > 1 else ''})"
        )
    if bits < 16:
        note(f"{folder.name}: 16-bit images with values up to {largest} are read as {bits}-bit: {2**bits - 1} is white")
    return bits
