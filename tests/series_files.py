"""Small files of series for tests: long and wide tables, arrays, and the format of the UEA archive."""

from pathlib import Path

import numpy as np

DAY = np.datetime64("2024-01-01", "m")


def numbers(n: int, seed: int = 0) -> np.ndarray:
    """A walk of n steps with one decimal."""
    return np.random.default_rng(seed).normal(size=n).cumsum().round(1) + 0.0  # no -0.0


def lines(path: Path, header: str, rows: list[list[object]], delimiter: str = ",") -> Path:
    cells = [delimiter.join(map(str, row)) for row in rows]
    path.write_text("\n".join([header.replace(",", delimiter), *cells]) + "\n", encoding="utf-8")
    return path


def wide(path: Path, n: int = 120, missing: bool = False, dates: bool = True) -> Path:
    """One series, a row a step: days, a number, a count, a word; some cells empty."""
    level, days = numbers(n), np.datetime64("2024-01-01") + np.arange(n)
    rows: list[list[object]] = []
    for i in range(n):
        gap = missing and i % 11 == 4
        row = [
            days[i],
            "" if gap else level[i],
            i * 7 % 211,
            "?" if missing and i % 23 == 9 else ("on", "off")[i // 9 % 2],
        ]
        rows.append(row if dates else row[1:])
    return lines(path, "day,level,count,state" if dates else "level,count,state", rows)


def long(path: Path, lengths: dict[str, int] | None = None, delimiter: str = ",") -> Path:
    """Several series in one table: hours, a number, a word, a static word, a class."""
    rows: list[list[object]] = []
    for k, (name, n) in enumerate((lengths or {"b": 40, "a": 30, "c": 9, "d": 35, "e": 50}).items()):
        level = numbers(n, k)
        for i in range(n):
            rows.append(
                [
                    name,
                    DAY + np.timedelta64(i, "h"),
                    level[i],
                    ("dry", "wet")[i * k % 2],
                    ("hill", "sea")[k % 2],
                    ("x", "y")[k // 2 % 2],
                ]
            )
    return lines(path, "station,hour,level,sky,place,kind", rows, delimiter)


def array(n: int = 20, steps: int = 12, channels: int = 3) -> np.ndarray:
    """Walks (n, steps, channels), float32; the last channel is constant."""
    x = np.random.default_rng(0).normal(size=(n, steps, channels)).cumsum(1).astype(np.float32)
    x[:, :, -1] = 1.5
    return x


def ts(path: Path, x: np.ndarray, labels: list[str] | None = None) -> Path:
    """The series x (n, T, C) in the UEA archive's format."""
    text = ["# made for a test", "@problemName Walks", f"@classLabel {'true up down' if labels else 'false'}", "@data"]
    for i, series in enumerate(x):
        cells = [",".join("?" if np.isnan(v) else f"{v:.4f}" for v in channel) for channel in series.T]
        text.append(":".join([*cells, *([labels[i]] if labels else [])]))
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path
