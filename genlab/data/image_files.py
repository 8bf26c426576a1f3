"""One image file: its kind, its pixels, and what is wrong with it, in words. Bombs and broken ones do no harm."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genlab.data.files import several
from genlab.errors import UserError, brief

# What is in the file decides, not its name; Pillow has other formats, some of which run programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
# Of other kinds of images: they are counted, so that none is left out in silence.
_OTHER = """
    .tif .tiff .svg .heic .heif .avif .jp2 .j2k .jxl .jfif .jpe .apng .psd .raw .dng .cr2 .nef .arw .ico .tga .ppm .pgm
    .pbm .pnm .exr .hdr .dds .pcx .dcm .eps
"""
OTHER_SUFFIXES = frozenset(_OTHER.split())
DARK = 32  # images whose largest pixel is below have other units than 0..255: masks of 0 and 1, digits of 0 to 16
LARGEST = 64_000_000  # pixels of one image: a file of a few kB can claim any number of them
GRAY = ("1", "L", "LA", "I;16", "I;16B")  # modes of Pillow without colour
COLOUR = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


class Head(NamedTuple):
    """What the head of an image file says of its pixels."""

    mode: str  # Pillow's
    deep: bool = False  # 16 bits of gray or of each colour

    @property
    def is_gray(self) -> bool:
        return self.mode in GRAY


def head(path: Path) -> Head | Exception:
    """Read the head of an image file; what is wrong with it is returned, not raised."""
    from PIL import Image

    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return UserError("is no file")
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > LARGEST:
                return UserError(f"claims {image.width} x {image.height} pixels; at most {LARGEST:,} are read")
            if image.mode not in GRAY + COLOUR:
                return UserError(f"has pixels of a kind ({image.mode}) that is neither 8 nor 16 bits")
            # Of 16-bit colours Pillow keeps the high bytes only; that they had low ones is seen in the raw mode alone.
            raw = [tile[3] for tile in image.tile] if image.format == "PNG" else []
            return Head(image.mode, image.mode.startswith("I;16") or any(";16" in str(each) for each in raw))
    except Exception as error:  # Pillow raises nearly anything on broken files, SyntaxError among it
        return error


def brightest(path: Path) -> int | Exception:
    """The largest value of a 16-bit image, of colours the largest that its high bytes allow; transparency is none."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            if image.mode.startswith("I;16"):
                return int(np.asarray(image).max())
            bands = [image.getchannel(name).getextrema() for name in image.getbands() if name != "A"]
            return int(max(band[1] for band in bands)) << 8 | 0xFF  # type: ignore[call-overload]
    except Exception as error:
        return error


def bits_used(largest: int) -> int:
    """How many bits a camera or scanner has that gives values up to `largest`: 8, 10, 12, 14 or 16."""
    return next(bits for bits in (8, 10, 12, 14, 16) if largest < 2**bits)


def read(path: Path, size: int, channels: int, bits: int = 16) -> np.ndarray | Exception:
    """One image as (channels, size, size) uint8; what is wrong with it is returned, not raised.

    Args:
        bits: of 16-bit gray ones those that are used: 2^bits - 1 becomes white.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            whole = ImageOps.exif_transpose(image)
        if whole.mode.startswith("I;16"):  # Pillow would clip 16 bits, not scale them
            whole = Image.fromarray((np.asarray(whole) >> (bits - 8)).astype(np.uint8))
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
        UserError: there are some: the first few by name, and how many more.
    """
    bad = [(path, error) for path, error in zip(paths, found, strict=True) if isinstance(error, Exception)]
    if bad:
        wrong = [f"{folder.name}/{path.relative_to(folder)} {_what(error)}" for path, error in bad]
        raise UserError(f"data.path: {several(wrong, separator='; ', what='bad file')}")


def _what(error: Exception) -> str:
    """An exception from an image file in a user's words."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"claims more than {LARGEST:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return f"is not an image in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if "truncated" in str(error) or isinstance(error, EOFError):
        return "is truncated"
    return f"is damaged: {brief(error)}"
