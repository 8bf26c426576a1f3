"""Builds HTML with function calls. All text is escaped, so a run's name or setting can never become markup."""

import html as standard
import re
from typing import Any

VOID = ("meta", "img")  # elements without content
SHORT = 12  # characters of a name that is not divided
TAIL = 16  # characters at the end of a name that stay visible when it is cut, at most


class Markup(str):
    """Text that is already HTML."""


def tag(name: str, /, *content: Any, **attributes: Any) -> Markup:
    """Returns one element: `tag("p", "a < b", class_="note")`. Escapes all content but Markup; skips None.

    In the names of attributes a trailing underscore is dropped and others become hyphens (`aria_label`). An attribute
    that is None or False is left out; True gives an attribute without a value.
    """
    text = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        text += f" {key}" if value is True else f' {key}="{standard.escape(str(value))}"'
    if name in VOID:
        return Markup(f"<{name}{text}>")
    return Markup(f"<{name}{text}>{join(*content)}</{name}>")


def join(*content: Any) -> Markup:
    """Concatenates pieces of content, flattening lists and tuples."""
    parts = []
    for piece in content:
        if isinstance(piece, (list, tuple)):
            parts.append(join(*piece))
        elif piece is not None:
            parts.append(piece if isinstance(piece, Markup) else standard.escape(str(piece)))
    return Markup("".join(parts))


def one_line(text: str) -> Markup:
    """Returns text that stays on one line: the browser cuts its middle where it does not fit; its title has all of it.

    The element has two parts, divided where a word begins if possible; the style sheet shortens the first as needed.
    """
    shown = " ".join(text.split())
    first, last = max(len(shown) // 3, len(shown) - TAIL), len(shown) - 4
    starts = [match.end() for match in re.finditer(r"[\s_/,(-]", shown) if first <= match.end() <= last]
    cut = len(shown) if len(shown) <= SHORT else starts[0] if starts else max(first, len(shown) - TAIL // 2)
    return tag("span", [tag("span", part) for part in (shown[:cut], shown[cut:]) if part], class_="name", title=text)


def swatch(style: str) -> Markup:
    """Returns a short piece of line in a curve's or run's style: the key of a legend."""
    return tag("i", class_=f"key {style}".strip(), aria_hidden="true")


def breakable(name: str) -> Markup:
    """Returns a name that may be broken across lines after each `.` and `_`."""
    return join(*[(part, Markup("<wbr>")) for part in re.split(r"(?<=[._])", name)])


def table(head: list[str], rows: list[list[Any]], caption: str, words: int = 0) -> Markup:
    """Returns a table that scrolls in a box of its own, with its first column in view, where the window is narrow.

    The first column names the row; the others hold numbers.

    Args:
        words: how many of the last columns hold words instead of numbers.
    """
    kinds = [None, *["num"] * (len(head) - 1 - words), *[None] * words]

    def cells(row: list[Any]) -> Markup:
        first = tag("th", row[0], scope="row")
        return tag("tr", first, [tag("td", cell, class_=k) for cell, k in zip(row[1:], kinds[1:], strict=True)])

    heads = [tag("th", breakable(name), scope="col", class_=k) for name, k in zip(head, kinds, strict=True)]
    body = tag("tbody", [cells(row) for row in rows])
    inner = tag("table", tag("caption", tag("span", caption)), tag("thead", tag("tr", heads)), body)
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)
