"""Constraints between the columns of a row: "start < end", "total == price * count", "`unit price` > 0".

A constraint is a comparison of sums, differences, products and quotients of columns and numbers; names that are not
plain words stand in backticks. Dates count whole units of time. Python's own parser reads it, and nothing but these
operations is evaluated.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from genlab.data.columns.base import Column
from genlab.data.columns.numeric import Numeric
from genlab.errors import OptionError, brief, did_you_mean

OPERATIONS: Mapping[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
COMPARISONS: Mapping[type, Callable] = {
    ast.Lt: torch.lt,
    ast.LtE: torch.le,
    ast.Gt: torch.gt,
    ast.GtE: torch.ge,
    ast.NotEq: torch.ne,
}
ALLOWED = (
    *(ast.Compare, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Load),
    *(ast.operator, ast.unaryop, ast.cmpop),
)
CLOSE = 1e-9  # relative: sums of decimals are not exact in binary


class Constraint:
    """One constraint on the numbers of a row.

    Args:
        text: as the user wrote it.
        columns: of the table; numbers, dates and ordered words can be used.

    Raises:
        OptionError: it cannot be read, or names a column that has no numbers.
    """

    def __init__(self, text: str, columns: Sequence[Column]) -> None:
        self.text = text
        names: dict[str, str] = {}  # of columns in backticks, by the names that stand for them

        def alias(match: re.Match[str]) -> str:
            names[f"_{len(names)}_"] = match[1]
            return f"_{len(names) - 1}_"

        try:
            node = ast.parse(re.sub(r"`([^`]+)`", alias, text), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError) as error:
            reason = _cure(text, columns) or brief(error)
            raise OptionError("constraints", f"'{text}' cannot be read: {reason}") from error
        if not isinstance(node, ast.Compare) or len(node.ops) != 1 or type(node.ops[0]) not in (ast.Eq, *COMPARISONS):
            raise OptionError("constraints", f"'{text}' is not one comparison, such as start < end or total == a + b")
        self.left, self.rule, self.right = node.left, type(node.ops[0]), node.comparators[0]
        self.names = names
        known = {column.name: column for column in columns}
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                name = names.get(part.id, part.id)
                if not isinstance(known.get(name), Numeric):
                    reason = "is not a column" + did_you_mean(name, known)
                    if (column := known.get(name)) is not None:
                        reason = "has no numbers" if column.width else f"is of kind {column.kind} and not learnt"
                    raise OptionError("constraints", f"'{text}': '{name}' {reason}")
            elif not isinstance(part, ALLOWED):
                raise OptionError("constraints", f"'{text}' may only have columns, numbers, + - * / and brackets")
        if not any(isinstance(part, ast.Name) for part in ast.walk(node)):
            raise OptionError("constraints", f"'{text}' names no column")
        plain = isinstance(self.left, ast.Name) and self.rule is ast.Eq
        self.derived = names.get(self.left.id, self.left.id) if plain and isinstance(self.left, ast.Name) else None

    def holds(self, values: Mapping[str, Tensor]) -> Tensor:
        """Which rows fulfil it, from the columns' values (N,): (N,) bool. A missing number fulfils everything."""
        a, b = self._of(self.left, values), self._of(self.right, values)
        device = next(iter(values.values())).device
        pair = (torch.as_tensor(side, dtype=torch.float64, device=device) for side in (a, b))
        a, b = torch.broadcast_tensors(*pair)
        if self.rule is ast.Eq:
            good = (a - b).abs() <= CLOSE * (a.abs() + b.abs()).clamp(min=1)
        else:
            good = COMPARISONS[self.rule](a, b)
        return good | a.isnan() | b.isnan()

    def derive(self, values: Mapping[str, Tensor]) -> Tensor:
        """The column on the left of "total == a + b" from the others: (N,) float64."""
        return torch.as_tensor(self._of(self.right, values), dtype=torch.float64)

    def _of(self, node: ast.expr, values: Mapping[str, Tensor]) -> Any:
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bool) or not isinstance(node.value, int | float):
                raise OptionError("constraints", f"'{self.text}': {node.value!r} is not a number")
            return float(node.value)
        if isinstance(node, ast.Name):
            return values[self.names.get(node.id, node.id)]
        if isinstance(node, ast.UnaryOp):
            return OPERATIONS[type(node.op)](self._of(node.operand, values))
        assert isinstance(node, ast.BinOp)
        if type(node.op) not in OPERATIONS:
            raise OptionError("constraints", f"'{self.text}' may only have + - * / between columns")
        return OPERATIONS[type(node.op)](self._of(node.left, values), self._of(node.right, values))


def _cure(text: str, columns: Sequence[Column]) -> str:
    """What is probably wrong with a constraint that Python cannot read; "" if that is unclear."""
    if re.search(r"(?<![<>=!])=(?!=)", text):
        return "write == for equal"
    spaced = [column.name for column in columns if not column.name.isidentifier() and column.name in text]
    if spaced and "`" not in text:
        return f"write `{spaced[0]}` in backticks"
    return "dates cannot be written here, only columns and numbers" if re.search(r"\d+[-.:/]\d+[-.:/]\d+", text) else ""
