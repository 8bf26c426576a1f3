"""Numbers and rows as text: aligned columns for a terminal, Markdown for a page, CSV for everything else."""

import csv
import io
from collections.abc import Sequence

Row = Sequence[str]


def number(value: float | None) -> str:
    """Four significant digits, without an exponent where a reader can do without: 0.00123, 12.3, 12,345; None: ""."""
    if value is None:
        return ""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def spread(mean: float, deviation: float | None) -> str:
    """12.3 ± 0.4; without a deviation the number alone."""
    if deviation is None:
        return number(mean)
    return f"{number(mean)} ± {deviation:,.0f}" if abs(deviation) >= 10 else f"{number(mean)} ± {deviation:.2g}"


def columns(rows: Sequence[Row], left: Sequence[int] = (0,)) -> list[str]:
    """Rows of equal length as lines: the columns `left` are aligned to the left, all others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        padded = (
            cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(padded).rstrip())
    return lines


def markdown(rows: Sequence[Row], left: Sequence[int] = (0,)) -> str:
    """Rows of equal length as a Markdown table; the first is its head."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    rule = ["---" if i in left else "---:" for i in range(len(rows[0]))]
    return "".join(f"| {' | '.join(row)} |\n" for row in [cells[0], rule, *cells[1:]])


def comma_separated(rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV, None as an empty cell. A text that a spreadsheet would take for a formula gets a quote in front."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([_harmless(cell) for cell in row] for row in rows)
    return file.getvalue()


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell
