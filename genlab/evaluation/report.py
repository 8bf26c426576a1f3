"""The result of an evaluation: measured values with their floor and noise, as JSON and as a table.

A number alone says little: a Fréchet distance depends on the feature net and on the number of samples. So every report
names both, and has two columns for calibration, the same measures of as many other samples:

    floor   real training samples: what a model that repeats the data would get
    noise   uniform pixels, points of the data's mean and covariance, series of each channel's autocovariance, or
            random graphs of the data's sizes and densities: what a model that knows nothing else would get
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from genlab.metrics.measure import Measure, sign
from genlab.report.tables import columns, number, spread

FORMAT = 1  # version of evaluation.json
COLUMNS = 8  # most columns or channels whose statistics are printed


@dataclass(kw_only=True)
class Row:
    """One measure of one model."""

    value: float
    error: float | None = None  # standard error, or the deviation between repeats of a score; None if unknown
    floor: float | None = None  # the same measure of real training samples, or a bound known exactly
    noise: float | None = None
    better: str = ""  # as in Measure.better
    text: str = ""
    unit: str = ""


@dataclass(kw_only=True)
class Report:
    """An evaluation of one run or file of samples.

    Args:
        source: the run folder or the file of samples.
        parameters: number of parameters that the model has learned.
        settings: settings of the model that were changed for this evaluation, by dotted key.
        samples, reference: numbers of generated and of real samples that were compared.
        likelihood, k: number of real samples for likelihoods, and of importance samples for each bound.
        net: name, fingerprint and accuracy of the feature net; None without one.
        seconds: time spent, by name of the part.
        columns: distance of each column, channel of series or attribute of graphs from the real one, worst first.
        notes: lines on how to read the measures.
        left_out: the reason why a measure is missing, by its name.
    """

    source: str
    checkpoint: str = ""
    step: int = 0
    model: str = ""
    parameters: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    data: str = ""
    fingerprint: str = ""  # of the data
    split: str = "test"
    samples: int = 0
    reference: int = 0
    likelihood: int = 0
    k: int = 0
    net: dict[str, Any] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    measures: dict[str, Row] = field(default_factory=dict)
    columns: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        table: Mapping[str, Measure],
        values: Mapping[str, float],
        floor: Mapping[str, float] | None = None,
        noise: Mapping[str, float] | None = None,
    ) -> None:
        """Adds values by name. `NAME_error` among them is the standard error of NAME.

        Raises:
            KeyError: the table has no entry for a value.
        """
        for name, value in values.items():
            if name.endswith("_error") and name.removesuffix("_error") in values:
                continue
            measure = table[name]
            if not math.isfinite(value):
                self.left_out[name] = f"the value is {value} for these samples"
                continue
            self.measures[name] = Row(
                value=value,
                error=_finite(values.get(f"{name}_error")),
                floor=_finite((floor or {}).get(name)),
                noise=_finite((noise or {}).get(name)),
                better=measure.better,
                text=measure.text,
                unit=measure.unit,
            )

    def as_dict(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    def lines(self) -> list[str]:
        """Returns the report for a terminal: what was measured, a table, what was left out."""
        head = f"{self.model or 'samples'} on {self.data}"
        if self.step:
            head += f", checkpoint {self.checkpoint} (step {self.step})"
        if self.settings:
            head += ", with " + " ".join(f"{key}={value}" for key, value in self.settings.items())
        lines = [head]
        if self.samples:
            lines.append(f"{self.samples:,} samples against {self.reference:,} real ones of the {self.split} split")
        if self.net:
            accuracy = f", accuracy {100 * self.net['accuracy']:.2f} %" if self.net.get("accuracy") else ""
            lines.append(f"features: {self.net['name']} {self.net['fingerprint']}{accuracy}")
        rows = [("measure", "value", "floor", "noise", "", "")]
        for name, row in self.measures.items():
            value = spread(row.value, row.error)
            rows.append(
                (name, value, number(row.floor), number(row.noise), sign(row.better), f"{row.text} {unit(row.unit)}")
            )
        lines += ["", *columns(rows, left=(0, 5)), ""]
        if len(self.columns) > 1:
            shown = [f"{name} {number(ks)}" for name, ks in list(self.columns.items())[:COLUMNS]]
            more = [f"and {len(self.columns) - COLUMNS} more in evaluation.json"] * (len(self.columns) > COLUMNS)
            lines.append(f"distance by column, worst first: {', '.join(shown + more)}")
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"left out: {name}: {reason}" for name, reason in self.left_out.items()]
        spent = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.seconds.items())
        return [*lines, f"seconds: {spent}"]


def unit(text: str) -> str:
    return f"[{text}]" if text else ""


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
