"""The kinds of columns by their word in data.types, and reading columns from a checkpoint."""

from typing import Any

from genlab.data.columns.base import Column
from genlab.data.columns.category import Boolean, Category
from genlab.data.columns.fixed import Constant, Identifier
from genlab.data.columns.moment import Date, DateTime
from genlab.data.columns.numeric import Integer, Real
from genlab.data.columns.ordered import Ordered

KINDS: dict[str, Any] = {
    column.kind: column for column in (Real, Integer, Category, Boolean, Ordered, DateTime, Date, Constant, Identifier)
}


def of(state: dict[str, Any]) -> Column:
    """Reads what `state` of a column wrote.

    Raises:
        KeyError, TypeError, ValueError: the state is damaged.
    """
    arguments = dict(state)
    return KINDS[arguments.pop("kind")].of(arguments)
