"""Writes the record of `reproduce.py` as Markdown: each table's rows, floor, published figures, and how it was made."""

import statistics
from typing import Any

from rows import Row, Table, evaluation

from genlab.report.tables import markdown, number, spread

Record = dict[tuple[str, int], dict[str, Any]]  # a line of results.jsonl by row and seed


def section(table: Table, record: Record, short: bool = False) -> str:
    """Returns a table of the rows that are in the record; "" if there are none.

    Args:
        short: only the first four measures, the minutes and the seeds, without published figures.
    """
    found = [(row, [line for (name, _), line in record.items() if name == row.name]) for row in table.rows]
    found = [(row, lines) for row, lines in found if lines]
    if not found:
        return ""
    everything = [line for _, lines in found for line in lines]
    columns = [c for c in table.columns if any(value(line, c) is not None for line in everything)]
    if short:
        columns = columns[:4]
    published = [c for c in columns if any(entry[0] == c for line in everything for entry in line["published"])]
    published = [] if short else published
    trained = any(not row.of for row, _ in found)
    head = ["", *(c.split("|")[0] for c in columns), *(f"published {c}" for c in published)]
    made = ["parameters", "steps", "samples/s", "minutes", "seeds"][3 if short else 0 :]
    head += [*made, "`genlab train`"] if trained else []
    rows, notes = [head], []
    for row, lines in found:
        cells = [row.label, *(cell(lines, c) for c in columns)]
        cells += [quoted(lines[0]["published"], c, notes) for c in published]
        if trained:
            means = [statistics.fmean(line[name] for line in lines) for name in ("samples_per_s", "minutes")]
            counts = [f"{lines[0][name]:,}" for name in ("parameters", "steps")]
            cells += [*counts, f"{means[0]:,.0f}", f"{means[1]:.1f}", str(len(lines))][3 if short else 0 :]
            cells.append(f"`{row.train}`" if row.train else f"the run of `{row.of}`")
        rows.append(cells)
    floors = [
        next((value(line, c, "floor") for line in everything if value(line, c, "floor") is not None), None)
        for c in columns
    ]
    if any(floor is not None for floor in floors):
        rows.append(["floor", *map(number, floors), *[""] * (len(head) - 1 - len(floors))])
    text = f"### {table.title}\n\n{table.text}\n\n{markdown(rows)}\n"
    text += f"`python scripts/results/reproduce.py {table.name}`: {how(found)}.\n"
    legend = "\nPublished figures in brackets are from another setting (A for B: A here, B there):\n\n"
    return text + (legend if notes else "") + "".join(notes)


def how(found: list[tuple[Row, list[dict[str, Any]]]]) -> str:
    """Returns how a table was made: commands of the evaluations, numbers of samples, feature nets, machines."""
    words: dict[str, list[str]] = {}
    for row, _ in found:
        words.setdefault(f"genlab evaluate run=RUN {evaluation(row).evaluate}".strip(), []).append(row.label)
    usual = max(words, key=lambda command: len(words[command]))
    parts = [f"measured by `{usual}`", *(f"{', '.join(words[w])} by `{w}`" for w in words if w != usual)]
    lines = [line for _, own in found for line in own]
    samples = sorted({line["samples"] for line in lines if line["samples"]})
    nets = sorted({line["net"] for line in lines if line["net"]})
    machines: dict[str, list[str]] = {}
    for row, own in found:
        for name in sorted({machine(line) for line in own}):
            machines.setdefault(name, []).append(row.label)
    common = max(machines, key=lambda name: len(machines[name]))
    parts += [f"{' or '.join(f'{n:,}' for n in samples)} samples"] if samples else []
    parts += [f"feature net {', '.join(nets)}"] if nets else []
    parts += [common, *(f"{', '.join(machines[name])} on {name}" for name in machines if name != common)]
    return "; ".join(parts)


def machine(line: dict[str, Any]) -> str:
    """Returns the machine of a run; the number of runs matters because runs that share a GPU are slower."""
    shared = (
        f", {line['together']} runs at a time" if line.get("together", 1) > 1 and "NVIDIA" in line["device"] else ""
    )
    return f"{line['device']}, {line['threads']} thread{'s' * (line['threads'] > 1)}{shared}"


def value(line: dict[str, Any], column: str, kind: str = "values") -> float | None:
    """Returns the first of the measures in a column, whose names are joined by |, that a line has."""
    return next((line[kind][name] for name in column.split("|") if name in line[kind]), None)


def cell(lines: list[dict[str, Any]], column: str) -> str:
    """Returns mean and standard deviation over seeds; for one seed, the measure's standard error if known."""
    values = [v for line in lines if (v := value(line, column)) is not None]
    if not values:
        return ""
    if len(values) == 1:
        return spread(values[0], value(lines[0], column, "errors"))
    return spread(statistics.fmean(values), statistics.stdev(values))


def quoted(published: list[list[str]], column: str, notes: list[str]) -> str:
    """Returns the published figure with the nearest setting; adds a note if the setting differs."""
    fitting = sorted((e for e in published if e[0] == column), key=lambda e: (e[3] != "same setting", e[3].count(",")))
    if not fitting:
        return ""
    _, _, theirs, verdict, source = fitting[0]
    if verdict == "same setting":
        return theirs
    note = f"- {column} {theirs}: {verdict.removeprefix('other setting: ')}; {source}\n"
    if note not in notes:
        notes.append(note)
    return f"({theirs})"
