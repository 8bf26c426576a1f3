"""Conditions on the columns of samples: `where={sex: Female, age: ">60"}`, in the table's own words."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from torch import Tensor

from genlab.data.columns.base import Column
from genlab.data.columns.category import Category
from genlab.data.columns.schema import Schema
from genlab.data.frames import given
from genlab.data.frames.kinds import MISSING, Refusal
from genlab.errors import UserError, brief, choose

NULL = ("null", "~")
COMPARED = re.compile(r"(>=|<=|!=|>|<|=)\s*(.*)", re.DOTALL)
RULES: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    ">=": torch.ge,
    "<=": torch.le,
    "!=": torch.ne,
    ">": torch.gt,
    "<": torch.lt,
}


class Conditions(NamedTuple):
    """What rows must fulfil."""

    schema: Schema
    equal: dict[str, float]  # columns with one allowed value, NaN for a missing one
    rules: list[tuple[str, str, float]]  # (column, comparison, value)
    among: dict[str, list[float]]  # columns with several allowed values

    def hold(self, units: Tensor) -> Tensor:
        """Which rows (N, width) in units fulfil them all: (N,) bool."""
        good = torch.ones(len(units), dtype=torch.bool, device=units.device)
        values = {column.name: column.values(part) for column, part in self.schema.cut(units)}
        for name, value in self.equal.items():
            good &= values[name].isnan() if np.isnan(value) else values[name] == value
        for name, rule, value in self.rules:
            good &= RULES[rule](values[name], value) & ~values[name].isnan()
        for name, allowed in self.among.items():
            among = torch.isin(values[name], torch.tensor(allowed, dtype=torch.float64, device=units.device))
            good &= among | values[name].isnan() if np.isnan(allowed).any() else among
        return good

    def rows(self, n: int, names: Collection[str]) -> tuple[Tensor, Tensor]:
        """Returns n rows in units (n, width) in which the columns in `names` have their one allowed value.

        The second result says which numbers those are, (n, width) bool; all others are 0.
        """
        parts, known = [], []
        for column in self.schema.columns:
            fixed = column.name in names
            parts.append(column.units(np.full(n, self.equal[column.name] if fixed else 0.0)))
            known += [fixed] * column.width
        return torch.cat(parts, dim=1), torch.tensor(known).expand(n, -1)


def parse(text: str | Mapping[str, Any], schema: Schema) -> Conditions:
    """Reads conditions from a mapping or YAML: a value, a list of values, or a comparison for each column.

    Raises:
        UserError: it is no mapping, or names a column or value that the table does not have.
    """
    if isinstance(text, str):
        text = mapping(text)
    if not isinstance(text, Mapping) or not text:
        what = "nothing" if not text else repr(text)
        raise UserError(f"where: got {what}; write {{COLUMN: VALUE, COLUMN: '>VALUE'}}")
    found = Conditions(schema, {}, [], {})
    learnt = [column.name for column in schema.columns if column.width]
    kinds = {column.name: column.kind for column in schema.columns if not column.width}
    for name, wanted in text.items():
        if kind := kinds.get(str(name)):
            raise UserError(f"where: column '{name}' is of kind {kind} and not learnt, so no condition applies to it")
        choose("where", str(name), learnt)
        column = schema.column(str(name))
        if isinstance(wanted, list) and not wanted:
            raise UserError(f"where: column '{name}': the list of allowed values is empty")
        compared = COMPARED.fullmatch(wanted) if isinstance(wanted, str) else None
        if isinstance(wanted, list):
            found.among[column.name] = [value(column, each) for each in wanted]
        elif compared and compared[1] != "=":
            if getattr(column, "labels", None) and compared[1] != "!=":
                raise UserError(f"where: column '{name}' holds words without an order, so '{wanted}' has no meaning")
            found.rules.append((column.name, compared[1], value(column, compared[2], compared[1] == "!=")))
        else:
            found.equal[column.name] = value(column, compared[2] if compared else wanted)
    return found


def mapping(text: str) -> Any:
    """Reads YAML in which every value stays text, so that yes, 01234 and 12:30 are what they are in the table.

    Raises:
        UserError: it is no YAML, or names a column twice.
    """
    try:
        loader = yaml.BaseLoader(re.sub(r"(:\s*)([<>=!][^,}\]]*)", r"\1'\2'", text))  # a comparison needs no quotes
        node = loader.get_single_node()
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if repeated := sorted({key for key in keys if keys.count(key) > 1}):
                raise UserError(f"where: column '{repeated[0]}' is named twice; give a list of values, or draw twice")
        return None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise UserError(f"where: {brief(error)}; write {{COLUMN: VALUE, COLUMN: '>VALUE'}}") from error


def value(column: Column, wanted: Any, equal: bool = True) -> float:
    """The number that stands for a value of a column, see `Column.values`.

    Args:
        equal: whether cells must equal it, rather than compare with it.

    Raises:
        UserError: the column cannot have it.
    """
    import pyarrow

    text = column.missing if wanted is None or str(wanted) in NULL else str(wanted)
    if text is None:
        raise UserError(f"where: column '{column.name}' has no missing values")
    try:
        missing = [column.missing] if column.missing is not None else []
        number = given.read(column, pyarrow.chunked_array([[text]], pyarrow.string()), missing or MISSING[:1])[0]
    except Refusal as error:
        if isinstance(column, Category):
            raise UserError(f"where: column '{column.name}' {error}") from error
        like = column.cells(np.array([getattr(column, "middle", 0.0)]))[0]  # type: ignore[attr-defined]
        raise UserError(
            f"where: column '{column.name}': '{text}' is not a value such as {like}; write a value, a list of values, "
            f"or one comparison, '>{like}'"
        ) from error
    if np.isnan(number) and isinstance(column, Category):
        return float(column.index([text])[0])
    if isinstance(column, Category) and text in column.rare:
        raise UserError(
            f"where: column '{column.name}': '{text}' is too rare to have been learnt; train with data.rare=1, or a "
            f"larger data.most"
        )
    low, high = getattr(column, "low", -np.inf), getattr(column, "high", np.inf)
    if np.isnan(number) and column.missing is None:
        raise UserError(f"where: column '{column.name}' has no missing values")
    if not np.isnan(number) and not low <= number <= high:
        low, high = column.cells(np.array([low, high]))  # type: ignore[attr-defined]
        raise UserError(f"where: column '{column.name}' lies between {low} and {high} in the training data, got {text}")
    decimals = getattr(column, "decimals", None)
    if equal and decimals is not None and np.isfinite(number) and round(float(number), decimals) != number:
        raise UserError(f"where: column '{column.name}' has {decimals} decimals, so no row has {text}")
    return float(number)
