"""What each column of a table holds: guessed from all its cells, or as data.types says."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from genlab.data.columns.kinds import KINDS
from genlab.data.files import quoted
from genlab.data.frames import moments, numbers
from genlab.errors import UserError, brief, choose

if TYPE_CHECKING:
    import pyarrow

    from genlab.data.frames.read import Frame

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "<NA>", "?")
FLAGS = [{"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"0", "1"}, {"on", "off"}]
IDENTIFIER = re.compile(r"(.*[_\W])?(id|uuid|key|index)|(.*[a-z])?(Id|ID)")  # names of columns of identifiers
FREE = 100  # more different words than this in half of the rows and more are free text


class Typed(NamedTuple):
    """A column with its kind and its values."""

    name: str
    kind: str  # a word of data.types
    values: np.ndarray  # (N,) numbers, moments or places among `words`, float64, NaN where missing
    words: tuple[str, ...] = ()  # of categories, and the cell of a constant
    missing: str | None = None  # how the source writes a missing value; None if no value is missing
    options: Mapping[str, Any] = {}  # of the column's class: decimals, pattern, ...
    note: str = ""  # what the user should know about the guess


class Refusal(Exception):
    """A column cannot be learnt: the message says why, without the column's name.

    Args:
        text: the message; `{place}` in it stands for a row.
        row: that row, counted from 0.
    """

    def __init__(self, text: str, row: int | None = None) -> None:
        super().__init__(text)
        self.text, self.row = text, row

    def at(self, frame: "Frame") -> str:
        """The message with the line of the file that the row stands in."""
        return self.text if self.row is None else self.text.replace("{place}", frame.line(self.row))

    def __str__(self) -> str:
        return self.text if self.row is None else self.text.replace("{place}", f"row {self.row + 1}")


def typed(name: str, column: "pyarrow.ChunkedArray", asked: Any, missing: Sequence[str]) -> Typed:
    """Finds the kind of a column and reads its cells.

    Args:
        asked: what data.types says: a word for a kind, a pattern of dates such as "%d.%m.%y", a list of words in their
            order, or None.
        missing: the texts that stand for missing values.

    Raises:
        Refusal: the cells are not of the kind that was asked for, or of no kind that can be learnt.
    """
    import pyarrow

    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
        column = column if pyarrow.types.is_nested(kind) else column.cast(kind)
    if pyarrow.types.is_nested(kind):
        raise Refusal(f"holds values of type {kind}")
    if str(kind) == "string_view":
        column, kind = column.cast(pyarrow.string()), pyarrow.string()
    if pyarrow.types.is_boolean(kind):
        column, kind = column.cast(pyarrow.string()), pyarrow.string()
    if pyarrow.types.is_null(kind):
        column, kind = column.cast(pyarrow.string()), pyarrow.string()
    plain = pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)
    if plain and (isinstance(asked, list | tuple) or "%" in str(asked)):  # words or dates written as numbers
        column, kind = column.cast(pyarrow.string()), pyarrow.string()
    if is_text(kind) or asked in ("category", "boolean"):
        cells = Cells.of(column.cast(pyarrow.string()), missing)
        return cells.typed(name, asked)
    if pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_decimal(kind):
        return _of_numbers(name, column, asked)
    if pyarrow.types.is_date(kind) or pyarrow.types.is_timestamp(kind):
        return _of_moments(name, column, asked)
    raise Refusal(f"holds values of type {kind}")


def is_text(kind: "pyarrow.DataType") -> bool:
    """Whether an Arrow type is that of a column of text."""
    import pyarrow

    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)


def _of_numbers(name: str, column: "pyarrow.ChunkedArray", asked: Any) -> Typed:
    """A column of a file that has types, of numbers."""
    import pyarrow

    values = column.cast(pyarrow.float64(), safe=False).to_numpy().astype(np.float64)
    known = values[~np.isnan(values)]
    if not np.isfinite(known).all():
        raise Refusal("has infinite numbers")
    missing = "" if len(known) < len(values) else None
    if not len(known):
        return Typed(name, "constant", values, ("",), missing)
    whole = pyarrow.types.is_integer(column.type)
    if whole and (np.abs(known) >= numbers.EXACT).any():
        return Typed(name, "id", values, (), missing, {"start": _start(column)})
    if asked is None and missing is None and (known == known[0]).all():
        return Typed(name, "constant", values, (_number(known[0]),))
    decimals = 0 if whole else numbers.decimals(known)
    read = numbers.Numbers(known, numbers.Style(), decimals, False)
    if asked is None and not missing and _numbers_rows(name, known, whole):
        return Typed(name, "id", values, (), missing, {"start": _start(column)})
    return _numeric(name, values, read, missing, asked, "integer" if whole else "real")


def _start(column: "pyarrow.ChunkedArray") -> int:
    """The lowest of whole numbers, exactly."""
    import pyarrow.compute as pc

    return int(pc.min(column).as_py())  # type: ignore[attr-defined]


def _item(text: str) -> str:
    """A text as an item of a list on the command line."""
    return text if re.fullmatch(r"[\w/?<>.-]+", text) else f'"{text}"'


def _number(value: float) -> str:
    """A number as text, whole ones without a point."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _of_moments(name: str, column: "pyarrow.ChunkedArray", asked: Any) -> Typed:
    """A column of a file that has types, of dates or times."""
    if asked not in (None, "date", "datetime"):
        raise Refusal(f"holds dates, not values of kind {asked}")
    import pyarrow

    is_date = pyarrow.types.is_date(column.type)
    zone = None if is_date else column.type.tz
    unit = "D" if is_date else {"s": "s", "ms": "ms"}.get(column.type.unit, "us")
    moments_ = column.to_numpy(zero_copy_only=False).astype(f"datetime64[{unit}]")
    gone = np.isnat(moments_)
    values = np.where(gone, np.nan, moments_.astype(np.int64).astype(np.float64))
    if unit in ("ms", "us") and not (values[~gone] % {"ms": 1000, "us": 1_000_000}[unit]).any():
        values, unit = values / {"ms": 1000, "us": 1_000_000}[unit], "s"
    pattern = "%Y-%m-%d" + {"D": "", "s": " %H:%M:%S"}.get(unit, " %H:%M:%S.%f")
    options = {"pattern": pattern, "unit": unit, "zone": zone, "decimals": 0}
    return Typed(name, "date" if is_date else "datetime", values, (), "" if gone.any() else None, options)


class Cells(NamedTuple):
    """A column of text: its different cells and which row has which."""

    texts: list[str]  # the different cells, without the missing ones
    place: np.ndarray  # (N,) of each row among them, -1 where the cell is missing
    missing: str | None
    gone: tuple[str, ...] = ()  # all texts that stand for missing values

    @classmethod
    def of(cls, column: "pyarrow.ChunkedArray", missing: Sequence[str]) -> "Cells":
        coded = column.combine_chunks().dictionary_encode()
        words = coded.dictionary.to_pylist()
        codes = coded.indices.fill_null(-1).to_numpy().astype(np.int64)
        gone = [i for i, word in enumerate(words) if word in missing]
        counts = np.bincount(codes[codes >= 0], minlength=len(words))
        token = words[max(gone, key=lambda i: counts[i])] if gone else ""
        kept = [i for i in range(len(words)) if i not in set(gone)]
        moved = np.full(len(words) + 1, -1)  # the last one is what -1 finds
        moved[kept] = np.arange(len(kept))
        place = moved[codes]
        return cls([words[i] for i in kept], place, token if (place < 0).any() else None, tuple(missing))

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of the different cells (K,) -> of the rows (N,), NaN where missing."""
        return np.append(values, np.nan)[self.place]

    def typed(self, name: str, asked: Any) -> Typed:
        """The column with its kind, see `typed`."""
        texts = self.texts
        if not texts:
            return self._guess(name)
        if isinstance(asked, list | tuple):
            return self._ordered(name, [str(word) for word in asked])
        if asked is None:
            return self._guess(name)
        if asked in ("category", "boolean"):
            return self._words(name, asked)
        if asked == "id":
            return self._identifier(name)
        if asked == "constant":
            if len(texts) > 1:
                raise Refusal(f"is no constant: it holds {quoted(texts)}")
            return Typed(name, asked, self.spread(np.zeros(len(texts))), tuple(texts[:1]), self.missing)
        if asked in ("real", "integer"):
            read = numbers.parse(texts)
            if read is None:
                bad = next((text for text in texts if numbers.parse([text]) is None), texts[0])
                raise Refusal(f"is not a column of numbers: {{place}} holds '{bad}'", self.row(bad))
            if asked == "integer" and read.decimals != 0:
                bad = next((text for text in texts if (one := numbers.parse([text])) and one.decimals), texts[0])
                raise Refusal(f"is not a column of whole numbers: {{place}} holds '{bad}'", self.row(bad))
            return _numeric(name, self.spread(read.values), read, self.missing, asked, asked)
        if asked in ("date", "datetime") or "%" in str(asked):
            pattern = str(asked) if "%" in str(asked) else None
            if (read := moments.parse(texts, pattern)) is not None:
                return self._moment(name, read)
            if pattern is None:
                raise Refusal(
                    f"is not a column of dates that can be read: '{texts[0]}'; give their pattern, such as "
                    f"data.types={{{name}: '%d.%m.%y %H:%M'}}"
                )
            bad = next((text for text in texts if moments.parse([text], pattern) is None), texts[0])
            raise Refusal(f"does not fit the pattern {pattern}: {{place}} holds '{bad}'", self.row(bad))
        choose(f"data.types: {name}", str(asked), list(KINDS))
        raise Refusal("needs its words in their order: data.types={" + name + ": [low, medium, high]}")

    def row(self, text: str) -> int:
        """The first row with this cell, counted from 0."""
        return int(np.argmax(self.place == self.texts.index(text)))

    def _identifier(self, name: str) -> Typed:
        """A column of identifiers; samples go on counting in their form if they have one, such as ID00017."""
        parts = [re.fullmatch(r"(\D*)(\d{1,40})(\D*)", text) for text in self.texts]
        first, options = parts[0], {}
        if first and all(each and (each[1], each[3]) == (first[1], first[3]) for each in parts):
            widths = {len(each[2]) for each in parts if each}
            options = {"start": min(int(each[2]) for each in parts if each), "prefix": first[1], "suffix": first[3]}
            options["digits"] = widths.pop() if len(widths) == 1 else 1
        return Typed(name, "id", self.spread(np.zeros(len(self.texts))), (), self.missing, options)

    def _guess(self, name: str) -> Typed:
        texts, rows = self.texts, int((self.place >= 0).sum())
        if not texts:
            return Typed(name, "constant", self.spread(np.empty(0)), (self.missing or "",), self.missing)
        if len(texts) == 1 and self.missing is None:
            return Typed(name, "constant", self.spread(np.zeros(1)), (texts[0],))
        if len(texts) <= 2 and {text.lower() for text in texts} in FLAGS:
            return self._words(name, "boolean")
        read = numbers.parse(texts)
        if read is not None and len(texts) > 2:
            values = self.spread(read.values)
            if self.missing is None and _numbers_rows(name, values, read.decimals == 0):
                return Typed(name, "id", values, (), None, {"start": int(values.min())})
            return _numeric(name, values, read, self.missing, None, "integer" if read.decimals == 0 else "real")
        try:
            found = moments.parse(texts) if read is None else None
        except ValueError as error:
            raise Refusal(f"holds dates, but also one that does not exist ({brief(error)})") from error
        if found is not None:
            return self._moment(name, found)
        coded = IDENTIFIER.fullmatch(name) or all(text.isdigit() for text in texts)
        if len(texts) == rows > 20 and coded:
            return self._identifier(name)
        good = numbers.share(texts)
        odd = [text for text in texts if numbers.parse([text]) is None] if good > 0.5 else []
        marks = len(texts) > 3 and not any(character.isalnum() for character in "".join(odd))
        if odd and (marks or (good > 0.9 and len(texts) > 20)):
            raise Refusal(
                f"holds numbers in {100 * good:.0f} % of its different cells, but also {quoted(odd)}; if these mean "
                f"missing values, 'data.missing=[{','.join(map(_item, dict.fromkeys((*self.gone, *odd[:3]))))}]'"
            )
        if len(texts) > FREE and len(texts) > rows / 2:
            dates = all(sum(c.isdigit() for c in text) > 3 and len(text) < 40 for text in texts)
            cure = f"; if these are dates, data.types={{{name}: '%d.%m.%y %H:%M'}} gives their pattern" if dates else ""
            raise Refusal(
                f"holds free text: {len(texts):,} different cells in {rows:,} rows, such as '{texts[0][:40]}'{cure}"
            )
        return self._words(name, "category")

    def _words(self, name: str, kind: str) -> Typed:
        from genlab.data.labels import ordered

        words = ordered(self.texts)
        if kind == "boolean" and len(words) > 2:
            raise Refusal(f"is not a boolean column: it has {len(words)} different words, {quoted(words)}")
        rank = {word: k for k, word in enumerate(words)}
        return Typed(
            name, kind, self.spread(np.array([rank[t] for t in self.texts], float)), tuple(words), self.missing
        )

    def _ordered(self, name: str, words: list[str]) -> Typed:
        if absent := [text for text in self.texts if text not in words]:
            raise Refusal(f"holds {quoted(absent)}, which data.types does not list; it lists {quoted(words)}")
        values = self.spread(np.array([words.index(text) for text in self.texts], float))
        return Typed(name, "ordered", values, tuple(words), self.missing, {"decimals": 0})

    def _moment(self, name: str, read: moments.Moments) -> Typed:
        options = {"pattern": read.pattern, "unit": read.unit, "decimals": 0}
        kind = "date" if read.unit == "D" else "datetime"
        text = f"{read.other} fits too: data.types={{{name}: '{read.other}'}}" if read.other else ""
        return Typed(name, kind, self.spread(read.values), (), self.missing, options, text)


def _numeric(name: str, values: np.ndarray, read: numbers.Numbers, missing: str | None, asked: Any, kind: str) -> Typed:
    """A column of numbers, `asked` for as a kind or guessed."""
    if asked == "integer" and read.decimals != 0:
        raise Refusal("is not a column of whole numbers")
    if asked not in (None, "real", "integer"):
        choose(f"data.types: {name}", str(asked), list(KINDS))
        if asked not in ("category", "boolean", "id", "constant"):
            raise Refusal(f"holds numbers, not values of kind {asked}")
    if asked == "id":
        start = {"start": int(read.values.min())} if read.decimals == 0 and read.values.min() < 2**62 else {}
        return Typed(name, asked, values, (), missing, start)
    if asked == "constant":
        low, high = _number(read.values.min()), _number(read.values.max())
        if low != high:
            raise Refusal(f"is no constant: it lies between {low} and {high}")
        return Typed(name, asked, values, (_number(read.values[0]),), missing)
    options = {"decimals": read.decimals, "fixed": read.fixed, "point": read.style.point, "group": read.style.group}
    if read.style.prefix or read.style.suffix:
        options |= {"prefix": read.style.prefix, "suffix": read.style.suffix}
    return Typed(name, asked or kind, values, (), missing, options)


def _numbers_rows(name: str, values: np.ndarray, whole: bool) -> bool:
    """Whether whole numbers identify rows: all different and consecutive, or all different in a column called id.

    In the latter case they must also ascend or be far larger than the number of rows, as keys of a database are: the
    values of a `price_index` may be different by chance.
    """
    if not whole or len(values) < 2 or len(np.unique(values)) < len(values):
        return False
    ascends = bool((np.diff(values) > 0).all())
    if IDENTIFIER.fullmatch(name) and (ascends or values.min() > 100 * len(values)):
        return True
    consecutive = values.max() - values.min() == len(values) - 1
    return consecutive and (len(values) > 20 or bool((np.diff(values) == 1).all()))


def check_types(types: Mapping[str, Any], names: Sequence[str]) -> None:
    """Checks the names and words of data.types.

    Raises:
        UserError: a column that does not exist, or a word that is no kind.
    """
    for name, kind in types.items():
        choose("data.types", str(name), names)
        if isinstance(kind, str) and "%" not in kind:
            choose(f"data.types: {name}", kind, list(KINDS))
        elif isinstance(kind, list | tuple):
            if len(kind) < 2 or len(set(map(str, kind))) < len(kind):
                raise UserError(f"data.types: {name}: the words in their order must be two or more, each named once")
        elif not isinstance(kind, str) and kind is not None:
            raise UserError(f"data.types: {name}: {kind!r} is not a kind, a pattern of dates or a list of words")
