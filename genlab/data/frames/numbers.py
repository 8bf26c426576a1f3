"""Numbers as people write them: decimal points and commas, thousands separators; codes such as 01234 are no numbers."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

EXACT = 2**53  # from here on, not every integer fits into a double


class Style(NamedTuple):
    """How a column writes its numbers."""

    point: str = "."
    group: str = ""  # between thousands
    prefix: str = ""  # before each number, such as $
    suffix: str = ""  # after each number, such as %


STYLES = {  # in the order in which they are tried
    Style(): re.compile(r"[+-]?(0|[1-9]\d*|(0|[1-9]\d*)?\.\d+|(0|[1-9]\d*)\.)([eE][+-]?\d+)?", re.ASCII),
    Style(".", ","): re.compile(r"[+-]?(0|[1-9]\d{0,2}(,\d{3})*)(\.\d+)?", re.ASCII),
    Style(",", ""): re.compile(r"[+-]?(0|[1-9]\d*)(,\d+)?", re.ASCII),
    Style(",", "."): re.compile(r"[+-]?(0|[1-9]\d{0,2}(\.\d{3})*)(,\d+)?", re.ASCII),
}


SIGN = r"[$€£¥₹]|USD|EUR|GBP|CHF|JPY"
AFFIXED = re.compile(rf"(?P<minus>[+-]?)(?P<prefix>(?:{SIGN})\s?)?(?P<number>[\d.,]+)(?P<suffix>\s?(?:%|{SIGN}))?")


class Numbers(NamedTuple):
    """Parsed numbers."""

    values: np.ndarray  # (N,) float64
    style: Style
    decimals: int | None  # the most digits after the point; None with exponents
    fixed: bool  # whether all have as many


def parse(texts: Sequence[str]) -> Numbers | None:
    """Reads texts (N,), N >= 1, as finite decimal numbers of one style; None if any of them is something else.

    All may have the same currency before or after them, or a percent sign. Integers with more digits than a double
    holds are identifiers, and no numbers either.
    """
    for style, pattern in STYLES.items():
        if all(map(pattern.fullmatch, texts)):
            return _read(texts, style)
    first = AFFIXED.fullmatch(texts[0])
    if first and (first["prefix"] or first["suffix"]):
        found = [AFFIXED.fullmatch(text) for text in texts]
        if all(each and (each["prefix"], each["suffix"]) == (first["prefix"], first["suffix"]) for each in found):
            read = parse([f"{each['minus']}{each['number']}" for each in found if each])
            return read and read._replace(
                style=read.style._replace(prefix=first["prefix"] or "", suffix=first["suffix"] or "")
            )
    return None


def parse_as(texts: Sequence[str], style: Style) -> Numbers | None:
    """Reads texts (N,), N >= 1, in the style of a column; thousands may be ungrouped and signs around them left out."""
    found = [AFFIXED.fullmatch(text) for text in texts]
    affixes = (("prefix", style.prefix), ("suffix", style.suffix))
    if style.prefix or style.suffix:
        if any(each and (each[name] or sign) != sign for each in found for name, sign in affixes):
            return None
        texts = [f"{each['minus']}{each['number']}" if each else text for each, text in zip(found, texts, strict=True)]
    for group in dict.fromkeys((style.group, "")):
        if all(map(STYLES[Style(style.point, group)].fullmatch, texts)):
            return _read(texts, Style(style.point, group))
    return None


def share(texts: Sequence[str]) -> float:
    """The largest share of texts that one style reads as numbers."""
    return max(sum(map(bool, map(pattern.fullmatch, texts))) for pattern in STYLES.values()) / max(len(texts), 1)


def _read(texts: Sequence[str], style: Style) -> Numbers | None:
    plain = [text.replace(style.group, "") if style.group else text for text in texts]
    plain = [text.replace(",", ".") for text in plain] if style.point == "," else plain
    values = np.array(plain, dtype=np.float64)
    if not np.isfinite(values).all():
        return None
    digits = [len(text.partition(".")[2]) for text in plain]
    if any("e" in text or "E" in text for text in plain):
        whole = (values == np.round(values)).all() and np.abs(values).max() < EXACT
        return Numbers(values, style, 0 if whole else None, False)
    wide = np.flatnonzero(np.abs(values) >= EXACT)
    if any("." not in plain[i] and int(plain[i]) != int(values[i]) for i in wide):
        return None
    most = max(digits)
    return Numbers(values, style, most if most <= 15 else None, 0 < most <= 15 and min(digits) == most)


def decimals(values: np.ndarray) -> int | None:
    """The digits after the point that numbers (N,) have, None for more than eight."""
    for digits in range(9):
        if np.array_equal(np.round(values, digits), values):
            return digits
    return None
