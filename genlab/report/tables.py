"""Formats numbers, and rows of a table: aligned columns for a terminal, Markdown, CSV."""

import csv
import io
from collections.abc import Sequence

Row = Sequence[str]


def number(value: float | None) -> str:
    """Formats four significant digits, with an exponent only if needed: 0.00123, 12.3, 12,345; "" for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def spread(mean: float, deviation: float | None) -> str:
    """Formats a mean and its deviation: 12.3 ± 0.4; only the mean if the deviation is None."""
    if deviation is None:
        return number(mean)
    return f"{number(mean)} ± {deviation:,.0f}" if abs(deviation) >= 10 else f"{number(mean)} ± {deviation:.2g}"


def columns(rows: Sequence[Row], left: Sequence[int] = (0,)) -> list[str]:
    """Formats rows of equal length as lines, aligning the columns `left` to the left and all others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        padded = (
            cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(padded).rstrip())
    return lines


def markdown(rows: Sequence[Row], left: Sequence[int] = (0,)) -> str:
    """Formats rows of equal length as a Markdown table; the first row is its head."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    rule = ["---" if i in left else "---:" for i in range(len(rows[0]))]
    return "".join(f"| {' | '.join(row)} |\n" for row in [cells[0], rule, *cells[1:]])


def comma_separated(rows: Sequence[Sequence[object]]) -> str:
    """Formats rows as CSV, None as an empty cell. Puts a quote before text that a spreadsheet would run."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([_harmless(cell) for cell in row] for row in rows)
    return file.getvalue()


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell
