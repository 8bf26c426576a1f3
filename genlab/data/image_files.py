"""Reads one image file: its header, its pixels, or what is wrong with it. Bombs and broken files do no harm."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genlab.data.files import several
from genlab.errors import UserError, brief

# The content decides, not the file name. Pillow knows more formats, but some of them run external programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
# Image formats that are not read: such files are counted, so that none is skipped silently.
_OTHER = """
    .tif .tiff .svg .heic .heif .avif .jp2 .j2k .jxl .jfif .jpe .apng .psd .raw .dng .cr2 .nef .arw .ico .tga .ppm .pgm
    .pbm .pnm .exr .hdr .dds .pcx .dcm .eps
"""
OTHER_SUFFIXES = frozenset(_OTHER.split())
DARK = 32  # a largest pixel below this means units other than 0..255: masks of 0 and 1, digits of 0 to 16
LARGEST = 64_000_000  # pixels per image: a file of a few kB can claim any number of them
GRAY = ("1", "L", "LA", "I;16", "I;16B")  # Pillow's modes without colour
COLOUR = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


class Head(NamedTuple):
    """What the header of an image file says about its pixels."""

    mode: str  # Pillow's mode
    deep: bool = False  # 16 bits per channel

    @property
    def is_gray(self) -> bool:
        return self.mode in GRAY


def head(path: Path) -> Head | Exception:
    """Reads the header of an image file; an error is returned, not raised."""
    from PIL import Image

    try:
        if not path.is_file():  # opening a pipe would block for ever
            return UserError("is not a file")
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > LARGEST:
                return UserError(f"claims {image.width} x {image.height} pixels; at most {LARGEST:,} are read")
            if image.mode not in GRAY + COLOUR:
                return UserError(f"has pixels in mode {image.mode}, which has neither 8 nor 16 bits per channel")
            # Pillow keeps only the high bytes of 16-bit colours; only the raw mode shows that there were low ones.
            raw = [tile[3] for tile in image.tile] if image.format == "PNG" else []
            return Head(image.mode, image.mode.startswith("I;16") or any(";16" in str(mode) for mode in raw))
    except Exception as error:  # Pillow raises nearly anything on broken files, even SyntaxError
        return error


def brightest(path: Path) -> int | Exception:
    """Returns the largest value of a 16-bit image without alpha; for colours, the largest that the high bytes allow."""
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
    """Returns the bit depth of a camera or scanner that produces values up to `largest`: 8, 10, 12, 14 or 16."""
    return next(bits for bits in (8, 10, 12, 14, 16) if largest < 2**bits)


def read(path: Path, size: int, channels: int, bits: int = 16) -> np.ndarray | Exception:
    """Reads one image as (channels, size, size) uint8; an error is returned, not raised.

    Args:
        bits: how many bits a 16-bit gray image uses: 2^bits - 1 becomes white.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):  # Pillow would clip 16-bit values instead of scaling them
            upright = Image.fromarray((np.asarray(upright) >> (bits - 8)).astype(np.uint8))
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
        upright = upright.convert("L" if channels == 1 else "RGB")
        square = ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS)
        return np.ascontiguousarray(np.asarray(square).reshape(size, size, channels).transpose(2, 0, 1))
    except Exception as error:
        return error


def refuse(folder: Path, paths: Sequence[Path], found: Sequence[object]) -> None:
    """Rejects the files whose entry in `found` is an exception.

    Raises:
        UserError: there are such files; the message names the first few and counts the rest.
    """
    bad = [(path, error) for path, error in zip(paths, found, strict=True) if isinstance(error, Exception)]
    if bad:
        wrong = [f"{folder.name}/{path.relative_to(folder)} {_what(error)}" for path, error in bad]
        raise UserError(f"data.path: {several(wrong, separator='; ', what='bad file')}")


def _what(error: Exception) -> str:
    """Describes an exception from an image file to the user."""
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
