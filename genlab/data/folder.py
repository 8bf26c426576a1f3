"""The user's own images: a folder of files, of sub-folders that are classes, or of train and test folders.

Each image is turned upright (EXIF), cropped to its central square, resized (Lanczos) and kept as uint8. All of them are
in one .npy file in the cache, mapped into memory: later runs read no images, and a set may be larger than memory. The
name of that file depends on the names, sizes and times of the images, so a changed folder is read again.
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

SIZES = (28, 32, 64)  # every model family has a net for these


class Folder(Dataset):
    """Images of your own: data.path=DIR, sub-folders are classes; any sizes, read once and cached.

    Images are held out pseudo-randomly, the same ones in every run. With classes each class is split separately, and
    training has at least one image of every class; without classes the split depends only on the number of images.

    Args:
        path: the folder. Reads PNG, JPEG, BMP, GIF and WebP files (the first frame of an animation) in it or in its
            sub-folders, at any depth. Two or more sub-folders are classes, in alphabetical order, or by value if all
            are numbers. Hidden files and folders are skipped, and links to folders are followed at the top level only.
            Sub-folders called train (training) and val (valid, validation) or test (testing) are the splits, and their
            own sub-folders the classes.
        root: folder that holds the cache, `genlab-cache`; None: GENLAB_DATA, else the user's cache folder.
        size: 28, 32 or 64, the side of the square that each image is resized to.
        channels: 1 (gray), 3 (RGB) or "auto": 1 if all files are gray. Transparent pixels are blended with white. If
            no 16-bit image of the folder uses more than 8, 10, 12 or 14 bits, they are scaled from that many bits.
        range: "symmetric" [-1, 1], "unit" [0, 1] or "binary".
        validation, test: shares of the images, at least one image each. With split folders they are shares of the
            training folder, and a split that has its own folder ignores its share.
        version: version of the rules for reading and splitting files; a run keeps the version that it started with.
            1 ignores classes when it holds out images, sorts classes as text, does not know split folders, and always
            scales 16-bit images from 16 bits.

    Raises:
        UserError: the folder is missing or has no images, some files are bad (the message names them), training lacks
            a held-out class, or the cache cannot be written.
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
        # Without classes and splits, neither the order of the images nor the cache file depends on the shares.
        shares = () if y is None and given is None else (validation, test)
        file = cached(folder, files.paths, places.tolist(), size, channels, root, version, *shares)
        # Mapped copy-on-write: torch wants writable memory, and the file must not change.
        x = torch.from_numpy(np.load(file, mmap_mode="c"))
        y = None if y is None else y[places]
        content = (file.stem.split("-")[-1], files.names, [] if y is None else y.tolist())
        super().__init__(
            folder.name,
            cut(x, y, sizes),
            range,
            classes=len(files.names),
            labels=files.names,
            fingerprint=digest(*content, validation, test) if version == 1 else digest(*content, sizes, version),
        )
