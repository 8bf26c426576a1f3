"""Images of one's own: a folder of files, or of sub-folders that are classes.

Each image is turned upright (EXIF), cut to its central square, resized (Lanczos) and kept as uint8. All of them lie in
one .npy file in the cache, mapped into memory: later runs read no image, and a set may be larger than memory. The
file's name tells which files with which sizes and times it was made from, so a folder that has changed is read anew.
"""

import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch

from genlab.data.base import Dataset, Range, data_root, digest
from genlab.data.files import cut, find, order
from genlab.data.image_files import GRAY, SUFFIXES, mode, read, refuse
from genlab.errors import UserError, brief, choose
from genlab.machine import cache_root

SIZES = (28, 32, 64)  # that every family has a net for


class Files(NamedTuple):
    """The images of a folder, by path and class, in the order of their names."""

    paths: list[Path]
    y: list[int]  # all 0 where there are no classes
    names: tuple[str, ...]  # of the classes; () for none


class Folder(Dataset):
    """Images of your own: data.path=DIR, sub-folders are classes; any sizes, read once and cached.

    Held out are the last samples of a pseudo-random order that depends on their number alone.

    Args:
        path: the folder. PNG, JPEG, BMP, GIF and WebP files in it (the first frame of several), or in its sub-folders,
            at any depth; these are the classes then, if there are two or more. Hidden files and folders are left out,
            and links to folders are followed at the top only.
        root: folder of the cache (`genlab-cache` in it); None takes GENLAB_DATA, else the user's cache folder.
        size: 28, 32 or 64, the side of the square that is left of each image.
        channels: 1 gray, 3 RGB, "auto": 1 if all files are gray. Transparent pixels are laid over white.
        range: "symmetric" [-1, 1], "unit" [0, 1] or "binary".
        validation, test: shares of the images, at least one image each.

    Raises:
        UserError: no such folder, no image in it, files that are no whole images, by name; nowhere to write the cache.
    """

    def __init__(
        self,
        path: str,
        root: str | None = None,
        size: int = 64,
        channels: int | Literal["auto"] = "auto",
        range: Range = "unit",
        validation: float = 0.1,
        test: float = 0.1,
    ) -> None:
        choose("data.size", str(size), map(str, SIZES))
        choose("data.channels", str(channels), ("auto", "1", "3"))
        folder = find(path, "folder")
        files = scan(folder)
        file = cached(folder, files, size, channels, root)
        # Mapped copy-on-write: torch wants memory that may be written to, the file stays as it is.
        x = torch.from_numpy(np.load(file, mmap_mode="c"))
        y = torch.tensor(files.y)[order(len(x))] if files.names else None
        content = file.stem.split("-")[-1]
        super().__init__(
            folder.name,
            cut(x, y, validation, test),
            range,
            classes=len(files.names),
            labels=files.names,
            fingerprint=digest(content, files.names, [] if y is None else y.tolist(), validation, test),
        )


def scan(folder: Path) -> Files:
    """Find the images; opens none.

    Raises:
        UserError: there are none, or some lie beside sub-folders with others.
    """
    try:
        top = sorted(each for each in folder.iterdir() if not each.name.startswith((".", "__MACOSX")))
        loose = [each for each in top if each.suffix.lower() in SUFFIXES and not each.is_dir()]
        below = {each.name: list(_images(each)) for each in top if each.is_dir()}
    except OSError as error:
        raise UserError(f"data.path: cannot read {error.filename}: {error.strerror}") from error
    below = {name: paths for name, paths in below.items() if paths}
    if loose and below:
        raise UserError(
            f"data.path: {folder} has images ({loose[0].name}, ...) beside sub-folders with images "
            f"({', '.join(list(below)[:3])}): sub-folders are classes, so all images must lie in them, or none"
        )
    if not loose and not below:
        raise UserError(f"data.path: no image in {folder}; looked for {' '.join(SUFFIXES)}")
    if loose:
        return Files(loose, [0] * len(loose), ())
    paths = [path for each in below.values() for path in each]
    y = [k for k, each in enumerate(below.values()) for _ in each]
    return Files(paths, y, tuple(below) if len(below) > 1 else ())


def _images(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for here, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(here, name)


def cached(folder: Path, files: Files, size: int, channels: int | str, root: str | None) -> Path:
    """The .npy file (N, C, size, size) uint8 of these images in `order`, made now if it is not there yet.

    It is named `<folder and settings>-<names, sizes, times>-<content>.npy`. Older ones of the same folder and settings
    are removed.

    Raises:
        UserError: bad images, or no place that takes the file.
    """
    # A file that is a broken link, or gone since, has no size and no time: it is named as bad when it is opened.
    stats = [(s.st_size, s.st_mtime_ns) if (s := _stat(path)) else None for path in files.paths]
    which = digest(str(folder), size, channels)
    made_from = digest([str(path.relative_to(folder)) for path in files.paths], stats)
    places = [each / "genlab-cache" for each in dict.fromkeys((data_root(root), cache_root()))]
    for place in places:
        for file in place.glob(f"{which}-{made_from}-*.npy"):
            if _whole(file, len(files.paths)):
                return file
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            with _new_file(place) as temporary:
                content = build(folder, files.paths, size, channels, temporary)
                file = place / f"{which}-{made_from}-{content}.npy"
                for old in place.glob(f"{which}-*.npy"):
                    with suppress(OSError):  # in use, on some systems
                        old.unlink()
                os.replace(temporary, file)
            return file
        except OSError as error:
            reason = error
    raise UserError(f"data.root: cannot write the cache in {places[-1]}: {reason.strerror or brief(reason)}")


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


@contextmanager
def _new_file(folder: Path) -> Iterator[Path]:
    """A name for a file that is moved to its place when it is whole, and removed if it does not come to that."""
    temporary = folder / f"{os.getpid()}.tmp"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def build(folder: Path, paths: Sequence[Path], size: int, channels: int | str, target: Path) -> str:
    """Read all images, write them in `order` to `target`; return 16 digits of the SHA-256 of their pixels.

    The file is written from front to end and not through a map of it: a full disk then is an error, and no signal.

    Raises:
        UserError: files that are no images, or damaged, or too large: the first by name, and how many more.
        OSError: the file cannot be written.
    """
    from tqdm import tqdm

    sha = hashlib.sha256()
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool, open(target, "wb") as out:
        warnings.simplefilter("ignore")  # Pillow's on odd but readable files, and on sizes that `read` refuses anyway
        modes = list(pool.map(mode, paths))
        refuse(folder, paths, modes)
        if channels == "auto":
            channels = 1 if set(modes) <= set(GRAY) else 3
        shape = (len(paths), int(channels), size, size)
        np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
        bad: dict[int, Exception] = {}
        index = order(len(paths)).tolist()
        images = pool.map(lambda i: read(paths[i], size, int(channels)), index)
        try:
            for i, image in zip(index, tqdm(images, f"reading {folder.name}", len(paths), disable=None), strict=True):
                if isinstance(image, Exception):
                    bad[i] = image
                    continue
                out.write(image.tobytes())
                sha.update(image.tobytes())
        finally:
            pool.shutdown(cancel_futures=True)  # on Ctrl-C and on a full disk: read no further
        refuse(folder, paths, [bad.get(i, "") for i in range(len(paths))])
        out.flush()
        os.fsync(out.fileno())
    return sha.hexdigest()[:16]
