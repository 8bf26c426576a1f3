"""Prepares the words of a command line for Hydra: moves flags to where its parser wants them and adds quotes.

A shell passes `data.path=a (1).csv` as one word, but in Hydra's grammar brackets, commas, quotes, `=` and letters
outside a-z have a meaning. So the values of keys that take file names, column names or other plain text are quoted
here before Hydra parses them.
"""

import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from genlab.config import targets
from genlab.errors import UserError, choose, did_you_mean

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

PATHS = (
    *("data.path", "data.other", "data.root", "model.autoencoder", "run", "resume", "out", "samples", "fill"),
    *("hydra.run.dir", "hydra.sweep.dir"),
)
NAMES = ("data.label", "data.key", "data.column", "data.graph", "data.source", "data.target")  # of columns, arrays
TEXTS = (*PATHS, *NAMES, "name", "checkpoint", "y")
LISTS = ("data.columns", "data.exclude", "data.missing", "data.constraints")
MAPS = ("data.types", "where")  # {name: value, ...} in YAML, which the data set parses: names may be of any letters
WITH_NUMBERS = ("samples", "checkpoint", "y")  # keys whose integers are read as numbers
SINGLE = ("run", "resume", "hydra.run.dir", "hydra.sweep.dir")  # keys that are never swept over

CHOSEN = ("model=", "experiment=", "--config-dir", "-cd", "resume=")  # words that choose the model
RUNS_OWN = ("model.", "data.path=", "data.root=")  # keys of a trained run's config, which the configs of its verbs lack

PLAIN = re.compile(r"[\w./%@+:-]([\w ./%@+:-]*[\w./%@+:-])?", re.ASCII)  # what Hydra reads as text without quotes
NUMBER = re.compile(r"[+-]?((\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d+)?|nan|inf)|true|false", re.ASCII | re.IGNORECASE)
SWEEP = re.compile(r"(choice|range|interval|glob|shuffle|sort|tag)\(.*\)")


def prepared(verb: str, words: Sequence[str]) -> list[str]:
    """Returns the words after a verb in Hydra's grammar.

    Raises:
        UserError: `model=` follows a verb that uses the model of a trained run.
    """
    sweep = any(word in MULTIRUN for word in words)
    ready = [quoted(word, sweep) for word in words]
    if verb == "train" and "data=table" in ready and not any(word.startswith(CHOSEN) for word in ready):
        ready.append("model=autoregressive")  # the best model of tables; the default of other data is a GAN
    if verb not in ("sample", "evaluate"):
        return ready
    if any(word.startswith("model=") for word in ready):
        raise UserError("model: a trained run keeps its model; change single settings: model.sample_steps=10")
    own = RUNS_OWN if any(word.startswith("run=") for word in ready) else RUNS_OWN[:1]
    return [f"+{word}" if word.startswith(own) else word for word in ready]


def quoted(word: str, sweep: bool = False) -> str:
    """Quotes the value of a key that takes plain text if Hydra's grammar would misread it.

    Values that the user has quoted, `null` and interpolations are unchanged; `~/` in paths becomes the home folder.

    Args:
        sweep: commas separate values, unless the whole value is the name of a file or folder.
    """
    key, equals, value = word.partition("=")
    bare = key.lstrip("+")
    if not equals or bare not in (*TEXTS, *LISTS, *MAPS):
        return word
    if sweep and bare not in SINGLE and not (bare in PATHS and os.path.lexists(home(value))):
        if SWEEP.fullmatch(value):
            return word
        values = split(value, brackets=bare in (*LISTS, *MAPS))
    else:
        values = [value]
    make = _list if bare in LISTS else _text
    return f"{key}={','.join(make(bare, item) for item in values)}"


def _text(key: str, value: str) -> str:
    if _is_grammar(value):
        return value
    if key in PATHS:
        value = home(value)
    number = NUMBER.fullmatch(value)
    if number and key in WITH_NUMBERS and (key == "samples" or re.fullmatch(r"-?(0|[1-9]\d*)", value)):
        return value
    return value if PLAIN.fullmatch(value) and not number else quote(value)


def _list(key: str, value: str) -> str:
    """Quotes the names in a list; only the commas between them are syntax."""
    if not (value.startswith("[") and value.endswith("]")):
        return _text(key, value)
    names = [name for name in split(value[1:-1]) if name]
    return f"[{','.join(quote(name) if name == 'null' else _text(key, name) for name in names)}]"


def _is_grammar(value: str) -> bool:
    """Returns whether Hydra should read a value as it is."""
    in_quotes = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
    return not value or in_quotes or value.lower() == "null" or value == "???" or "${" in value


def split(text: str, brackets: bool = False) -> list[str]:
    """Splits at commas, except in quotes that open at the start of a piece, and strips the pieces.

    Args:
        brackets: keep commas inside [ ] and { } as part of a piece.
    """
    pieces, quote_, depth = [""], "", 0
    for character in text:
        if quote_:
            quote_ = "" if character == quote_ else quote_
        elif character in "'\"" and not pieces[-1].strip(" [{" if brackets else " "):
            quote_ = character
        elif brackets and character in "[]{}":
            depth += 1 if character in "[{" else -1
        elif character == "," and depth <= 0:
            pieces.append("")
            continue
        pieces[-1] += character
    return [piece.strip() for piece in pieces]


def quote(text: str) -> str:
    """Quotes any text for Hydra's grammar."""
    # Backslashes are literal there, except before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), text)
    return f"'{escaped}'"


def home(path: str) -> str:
    """Replaces `~` at the start of a path by the home folder, as a shell does if the path is a word of its own."""
    return os.path.expanduser(path) if path == "~" or path.startswith("~/") else path


def folders_and_options(
    verb: str, arguments: Sequence[str], options: Mapping[str, str | None]
) -> tuple[list[str], dict[str, str | None]]:
    """Separates folders from key=value words, for a verb whose words Hydra does not read.

    A word that names an existing file or folder is one even if it contains `=`, as the folders of sweep jobs do.

    Args:
        options: the allowed keys with their defaults.

    Returns:
        The folders, and the options with the given values.

    Raises:
        UserError: a key that the verb does not have.
    """
    folders, chosen = [], dict(options)
    for word in arguments:
        key, equals, value = word.partition("=")
        if not equals or not re.fullmatch("[a-z_]+", key) or os.path.lexists(home(word)):
            folders.append(home(word))
            continue
        choose(verb, key, options)
        chosen[key] = home(value)
    return folders, chosen


def parse_overrides(words: list[str]) -> "list[Override]":
    """Parses key=value words that are given besides `resume=`.

    Raises:
        UserError: a word cannot be read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parsed = []
    for word in words:
        try:
            parsed += OverridesParser.create().parse_overrides([word])
        except HydraException as error:
            raise UserError(unreadable(word)) from error
    return parsed


def unreadable(word: str) -> str:
    """Returns a message that says what to write instead of a word that Hydra's grammar rejects."""
    key, equals, value = word.partition("=")
    if not equals or not key or key.startswith("~"):
        return f"'{word}' cannot be read: write key=value, without spaces around the ="
    return (
        f"{word}: the value cannot be read; brackets, commas, quotes, = and letters outside a-z need quotes: "
        f'"{key}={quote(value)}" is plain text, {key}=[a,b] a list'
    )


def flags_first(arguments: list[str]) -> list[str]:
    """Moves -m to the front, where Hydra's parser wants it, so that `train model=vae -m seed=0,1` works.

    Raises:
        UserError: Hydra does not have a flag, a flag lacks its value, or --cfg has a wrong one.
    """
    for word in arguments:
        if word.startswith("-") and (flag := word.split("=")[0]) not in FLAGS:
            raise UserError(f"unknown flag '{flag}'{did_you_mean(flag, FLAGS)}; see --help and --hydra-help")
    for flag, value in pairwise([*arguments, ""]):
        if flag in WITH_VALUE and not value:
            raise UserError(f"{flag} needs a value: {flag} VALUE")
        if flag in ("-c", "--cfg"):
            choose(flag, value, ("job", "hydra", "all"))
    sweep = [word for word in arguments if word in MULTIRUN]
    return sweep[:1] + [word for word in arguments if word not in sweep]


WITH_VALUE = (
    *("-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
)
MULTIRUN = ("-m", "--multirun")
# All of Hydra's flags except --experimental-rerun, which would load a pickle.
FLAGS = (
    *("-h", "--help", "--hydra-help", "--version", "-c", "--cfg", "--resolve", "-p", "--package", "-r", "--run"),
    *(*MULTIRUN, "-i", "--info", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
    targets.FLAG,
)
