"""Shortens names for titles, labels and legends. Imports no torch."""


def shorten(text: str, length: int) -> str:
    """Returns text of at most `length` characters on one line, with its middle replaced by an ellipsis if needed."""
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"
