"""Gives each run on a page one colour, wherever it appears, and each curve a style. Imports no torch.

A style is a few classes of style.css: `s0` to `s7` are colours, `d1` and `d2` dashes, `faint` is pale, `rest` grey.
"""

import math
from collections.abc import Sequence

from genlab.report.comparison import PREFERRED, measured
from genlab.report.titles import built
from genlab.runs.history import History

COLOURS = 8
DASHES = ("", "d1", "d2", "faint", "faint d1", "faint d2")
REST = "rest"  # the style of runs without a colour of their own


def numbered(index: int) -> str:
    """Returns the style of the curve of this number: 8 colours with solid lines, then with dashed and dotted ones."""
    dash = DASHES[index // COLOURS % len(DASHES)]
    return f"s{index % COLOURS} {dash}".strip()


def run_styles(runs: Sequence[History]) -> list[str]:
    """Returns a style for each run.

    Up to 16 runs are told apart, by 8 colours and solid or dashed lines. Nobody could tell many more apart, so of these
    only 8 get a colour and the others are grey.
    """
    if len(runs) <= 2 * COLOURS:
        return [numbered(i) for i in range(len(runs))]
    chosen = foremost(runs, COLOURS)
    return [numbered(chosen.index(i)) if i in chosen else REST for i in range(len(runs))]


def foremost(runs: Sequence[History], count: int) -> list[int]:
    """Returns the indices of `count` runs: in turn the best of each model on each data set, in their order.

    The best are those with the lowest value of the preferred measure that the most of them have.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault((built(run, "model"), built(run, "data")), []).append(i)
    values = [measured(run) for run in runs]
    for members in groups.values():
        having = {name: sum(name in values[i] for i in members) for name in PREFERRED}
        measure = max(having, key=lambda name: having[name])
        members.sort(key=lambda i: values[i].get(measure, math.inf))  # all of PREFERRED are better when lower
    places = sorted((place, i) for members in groups.values() for place, i in enumerate(members))
    return sorted(i for _, i in places[:count])


def of_run(style: str, index: int) -> str:
    """Returns the style of a run's curve of this number: the run's colour, with a dash that tells curves apart."""
    return f"{style.split()[0]} {DASHES[index % len(DASHES)]}".strip()
