"""Images of one's own: a folder of files, or of sub-folders that are classes, or train and test folders of these.

Each image is turned upright (EXIF), cut to its central square, resized (Lanczos) and kept as uint8. All of them lie in
one .npy file in the cache, mapped into memory: later runs read no image, and a set may be larger than memory. The
file's name tells which files with which sizes and times it was made from, so a folder that has changed is read anew.
"""

from typing import Literal

import numpy as np
import torch

from genlab.data.base import Dataset, Range, digest
from genlab.data.files import check_version, find
from genlab.data.image_cache import cached
from genlab.data.layout import scan
from genlab.data.splits import cut, plan
from genlab.errors import choose

SIZES = (28, 32, 64)  # that every family has a net for


class Folder(Dataset):
    """Images of your own: data.path=DIR, sub-folders are classes; any sizes, read once and cached.

    Images are held out pseudo-randomly, the same ones in every run: with classes class by class, and training has at
    least one image of every class; without, a function of their number alone.

    Args:
        path: the folder. PNG, JPEG, BMP, GIF and WebP files in it (the first frame of several), or in its sub-folders,
            at any depth; these are the classes then, if there are two or more, in alphabetical order, or by value if
            all are numbers. Hidden files and folders are left out, and links to folders are followed at the top only.
            If the sub-folders are called train (training), val (valid, validation) and test (testing), the first and
            at least one other, they are the splits, and their sub-folders the classes.
        root: folder of the cache (`genlab-cache` in it); None takes GENLAB_DATA, else the user's cache folder.
        size: 28, 32 or 64, the side of the square that is left of each image.
        channels: 1 gray, 3 RGB, "auto": 1 if all files are gray. Transparent pixels are laid over white. 16-bit images
            that use fewer bits, in all files of the folder, are scaled by those that they use (8, 10, 12 or 14).
        range: "symmetric" [-1, 1], "unit" [0, 1] or "binary".
        validation, test: shares of the images, at least one image each; of the training folder's images where there
            are splits, and unused where the split has a folder of its own.
        version: of the rules by which files are read and split; a run keeps the one that it began with. 1 holds out
            without regard to classes, sorts them as text, knows no folders of splits, and reads 16 bits as they are.

    Raises:
        UserError: no such folder, no image in it, files that are no whole images, by name; a held-out class that is not
            trained on; nowhere to write the cache.
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
        *,
        version: int = 2,
    ) -> None:
        choose("size", str(size), map(str, SIZES))
        choose("channels", str(channels), ("auto", "1", "3"))
        check_version(version)
        folder = find(path, "folder")
        files = scan(folder, version)
        y = torch.tensor(files.y) if files.names else None
        given = None if files.splits is None else torch.tensor(files.splits)
        places, sizes = plan(len(files.paths), y if version > 1 else None, validation, test, given)
        # Without classes and splits the order of the images does not depend on the shares, nor does the file then.
        shares = () if y is None and given is None else (validation, test)
        file = cached(folder, files.paths, places.tolist(), size, channels, root, version, *shares)
        # Mapped copy-on-write: torch wants memory that may be written to, the file stays as it is.
        x = torch.from_numpy(np.load(file, mmap_mode="c"))
        y = None if y is None else y[places]
        what = (file.stem.split("-")[-1], files.names, [] if y is None else y.tolist())
        super().__init__(
            folder.name,
            cut(x, y, sizes),
            range,
            classes=len(files.names),
            labels=files.names,
            fingerprint=digest(*what, validation, test) if version == 1 else digest(*what, sizes, version),
        )
