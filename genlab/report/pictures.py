"""Pictures inside the page, as data: small enough to send by mail, sharp where they are small."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from genlab.errors import UserError, brief
from genlab.report.html import Markup, tag
from genlab.runs.history import Picture

LARGE, SMALL = 720, 240  # pixels, the longer side at most
SHARP = 400  # pictures up to this size show their pixels


def picture(source: Picture, alt: str, size: int = LARGE) -> Markup:
    """An <img> with the picture in it, scaled down to `size` pixels.

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
        image = red  # a third of the bytes
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    kind = "sharp" if max(image.size) <= SHARP else None
    width, height = image.size
    return tag("img", src=f"data:image/png;base64,{data}", alt=alt, width=width, height=height, class_=kind)


def strip(name: str, pictures: Sequence[Picture], frames: int) -> Markup:
    """A film strip: up to `frames` of the pictures, the first and the last among them, evenly spaced between."""
    shown = spaced(pictures, frames)
    cells = [
        tag("li", picture(each, f"{name} at step {each.step:,}", SMALL), tag("span", f"step {each.step:,}"))
        for each in shown
    ]
    return tag("ol", cells, class_="strip", tabindex="0", aria_label=f"{name} over training")


def spaced(items: Sequence[Picture], count: int) -> list[Picture]:
    """At most `count` of the items, evenly spaced, both ends among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]
