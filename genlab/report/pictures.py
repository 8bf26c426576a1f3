"""Embeds pictures in a page as data, small enough for a mail and never scaled up by the browser."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from genlab.errors import UserError, brief
from genlab.report.html import Markup, tag
from genlab.runs.history import Picture

LARGE, MEDIUM, SMALL = 720, 480, 240  # pixels, the longer side at most


def picture(source: Picture, alt: str, size: int = LARGE) -> Markup:
    """Returns an <img> that contains the picture, scaled to fit `size` pixels.

    Small pictures are enlarged by a whole factor, so that their pixels stay sharp. Below `LARGE` a picture gets a
    palette of 256 colours, a third of the bytes.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with Image.open(source.path) as file:
            image = file.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # what Pillow raises for damage
        raise UserError(f"damaged picture {source.path}: {brief(error)}") from error
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    red, green, blue = image.split()
    if red.tobytes() == green.tobytes() == blue.tobytes():
        image = red  # grey: one channel is enough
    elif size < LARGE:
        image = image.quantize(256, dither=Image.Dither.NONE)
    factor = size // max(image.size)
    width, height = (factor * side for side in image.size)
    buffer = io.BytesIO()
    image.resize((width, height), Image.Resampling.NEAREST).save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return tag("img", src=f"data:image/png;base64,{data}", alt=alt, width=width, height=height)


def strip(name: str, pictures: Sequence[Picture], frames: int) -> Markup:
    """Returns a film strip of up to `frames` evenly spaced pictures, the first and the last among them."""
    cells = [
        tag("li", picture(frame, f"{name} at step {frame.step:,}", SMALL), tag("span", f"step {frame.step:,}"))
        for frame in spaced(pictures, frames)
    ]
    return tag("ol", cells, class_="strip", tabindex="0", aria_label=f"{name} over training")


def spaced(items: Sequence[Picture], count: int) -> list[Picture]:
    """Returns at most `count` evenly spaced items, including the first and the last."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]
