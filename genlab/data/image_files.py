"""One image file: its kind, its pixels, and what is wrong with it, in words. Bombs and broken ones do no harm."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genlab.errors import UserError, brief

# What is in the file decides, not its name; Pillow has other formats, some of which run programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
LARGEST = 64_000_000  # pixels of one image: a file of a few kB can claim any number of them
GRAY = ("1", "L", "LA", "I;16", "I;16B")  # modes of Pillow without colour
COLOUR = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def mode(path: Path) -> str | Exception:
    """Pillow's mode of an image file, from its head alone; what is wrong with it is returned, not raised."""
    from PIL import Image

    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return UserError("is no file")
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > LARGEST:
                return UserError(f"claims {image.width} x {image.height} pixels; at most {LARGEST:,} are read")
            if image.mode not in GRAY + COLOUR:
                return UserError(f"has pixels of a kind ({image.mode}) that is neither 8 nor 16 bits")
            return image.mode
    except Exception as error:  # Pillow raises nearly anything on broken files, SyntaxError among it
        return error


def read(path: Path, size: int, channels: int) -> np.ndarray | Exception:
    """One image as (channels, size, size) uint8; what is wrong with it is returned, not raised."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            whole = ImageOps.exif_transpose(image)
        if whole.mode.startswith("I;16"):  # Pillow would clip 16 bits, not scale them
            whole = Image.fromarray((np.asarray(whole) >> 8).astype(np.uint8))
        if whole.has_transparency_data:
            whole = whole.convert("RGBA")
            whole = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)
        whole = whole.convert("L" if channels == 1 else "RGB")
        square = ImageOps.fit(whole, (size, size), Image.Resampling.LANCZOS)
        return np.ascontiguousarray(np.asarray(square).reshape(size, size, channels).transpose(2, 0, 1))
    except Exception as error:
        return error


def refuse(folder: Path, paths: Sequence[Path], found: Sequence[object]) -> None:
    """Refuse the files for which `found` holds an exception.

    Raises:
        UserError: there are some: the first by name, and how many more.
    """
    bad = [(path, error) for path, error in zip(paths, found, strict=True) if isinstance(error, Exception)]
    if bad:
        path, error = bad[0]
        more = f", and {len(bad) - 1} more of {len(paths)} files are bad" if len(bad) > 1 else ""
        raise UserError(f"data.path: {folder.name}/{path.relative_to(folder)} {_what(error)}{more}")


def _what(error: Exception) -> str:
    """An exception from an image file in a user's words."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"claims more than {LARGEST:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return f"is no image of a kind that is read ({', '.join(FORMATS)})"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if "truncated" in str(error) or isinstance(error, EOFError):
        return "is truncated"
    return f"is damaged: {brief(error)}"
