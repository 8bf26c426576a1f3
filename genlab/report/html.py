"""HTML as function calls. Every text is escaped on its way in, so that a page shows what it is given and no more."""

import html as standard
import re
from typing import Any

VOID = ("meta", "img")  # elements without content


class Markup(str):
    """Text that is HTML already."""


def tag(name: str, /, *content: Any, **attributes: Any) -> Markup:
    """One element: `tag("p", "a < b", class_="note")`. Content: markup as it is, all else escaped; None is nothing.

    Attributes lose a trailing underscore, and others become hyphens (`aria_label`); None leaves one out, True needs no
    value.
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
    """Pieces one after the other; lists are taken apart."""
    parts = []
    for each in content:
        if isinstance(each, (list, tuple)):
            parts.append(join(*each))
        elif each is not None:
            parts.append(each if isinstance(each, Markup) else standard.escape(str(each)))
    return Markup("".join(parts))


def breakable(name: str) -> Markup:
    """A name that may go on in the next line after each of its parts."""
    return join(*[(part, Markup("<wbr>")) for part in re.split(r"(?<=[._])", name)])


def table(head: list[str], rows: list[list[Any]], caption: str, words: int = 0) -> Markup:
    """A table that scrolls by itself where the window is narrow. The first column names the row, the rest are numbers.

    Args:
        words: so many of the last columns are no numbers.
    """
    kinds = [None, *["num"] * (len(head) - 1 - words), *[None] * words]

    def cells(row: list[Any]) -> Markup:
        first = tag("th", row[0], scope="row")
        return tag("tr", first, [tag("td", cell, class_=k) for cell, k in zip(row[1:], kinds[1:], strict=True)])

    heads = [tag("th", breakable(each), scope="col", class_=k) for each, k in zip(head, kinds, strict=True)]
    body = tag("tbody", [cells(row) for row in rows])
    inner = tag("table", tag("caption", tag("span", caption)), tag("thead", tag("tr", heads)), body)
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)
