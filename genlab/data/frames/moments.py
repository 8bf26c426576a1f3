"""Dates and times as people write them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

ISO = re.compile(r"\d{4}-\d\d-\d\d(([ T])\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?", re.ASCII)
DATES = ("%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%y", "%d %b %Y", "%b %d, %Y", "%d-%b-%Y")
TIMES = ("", " %I:%M %p", " %I:%M:%S %p", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S", "T%H:%M:%SZ")
CLOCK = ("%H", "%I", "%M", "%S", "%c", "%X", "%T", "%s")  # of patterns with a time of day
OFFSET = re.compile(r"(Z|[+-]\d\d:?\d\d)", re.ASCII)
LOOK = 50  # texts that a pattern must read before all are tried


class Moments(NamedTuple):
    """Parsed dates and times."""

    values: np.ndarray  # (N,) float64, whole units since 1970
    pattern: str  # of strftime
    unit: str  # D, s, ms or us
    other: str | None = None  # another pattern that reads all of them too, as day and month the other way round


def parse(texts: Sequence[str], pattern: str | None = None) -> Moments | None:
    """Reads texts (N,), N >= 1, as dates or times of one pattern; None if any of them is something else.

    Args:
        pattern: the pattern that all must have; None: one that fits.

    Raises:
        ValueError: all look like dates, but one is in no calendar, such as the 30th of February.
    """
    if pattern is not None:
        return _read(texts, pattern)
    tail = OFFSET.search(texts[0][16:])  # a zone, which all must share: it is written back as it is
    if tail and all(text.endswith(tail[1]) for text in texts):
        plain = [text.removesuffix(tail[1]) for text in texts]
        found = _iso(plain) if all(map(ISO.fullmatch, plain)) else None
        return found and found._replace(pattern=found.pattern + tail[1])
    if all(map(ISO.fullmatch, texts)):
        return _iso(texts)
    if not all(any(c.isdigit() for c in text) and len(text) >= 8 for text in texts[:LOOK]) or texts[0].isdigit():
        return None
    found = [each for each in (_read(texts, f"{date}{time}") for date in DATES for time in TIMES) if each]
    if not found:
        return None
    return found[0]._replace(other=next((each.pattern for each in found[1:]), None))


def _iso(texts: Sequence[str]) -> Moments | None:
    """Reads ISO texts, all of one length class, with NumPy."""
    shapes = {re.sub(r"\d", "0", text) for text in texts}
    if len({shape[:19] for shape in shapes}) > 1 or len({"." in shape for shape in shapes}) > 1:
        return None
    shape = max(shapes, key=len)
    pattern = "%Y-%m-%d" + {10: "", 16: f"{shape[10:11]}%H:%M"}.get(len(shape), f"{shape[10:11]}%H:%M:%S")
    fraction = len(shape) - 20 if "." in shape else 0
    unit = "D" if len(shape) == 10 else "s" if not fraction else "ms" if fraction <= 3 else "us"
    values = np.array(texts, dtype=f"datetime64[{unit}]")
    return Moments(values.astype(np.int64).astype(np.float64), f"{pattern}.%f" if fraction else pattern, unit)


def _read(texts: Sequence[str], pattern: str) -> Moments | None:
    if "%z" in pattern or "%Z" in pattern:
        return None  # offsets that differ from row to row cannot be written back
    unit = "us" if "%f" in pattern else "s" if any(word in pattern for word in CLOCK) else "D"
    seconds = []
    try:
        for text in texts:
            seconds.append(datetime.strptime(text, pattern).replace(tzinfo=UTC))
    except ValueError:
        return None
    moments = np.array([moment.replace(tzinfo=None) for moment in seconds], dtype="datetime64[us]")
    return Moments(moments.astype(f"datetime64[{unit}]").astype(np.int64).astype(np.float64), pattern, unit)
