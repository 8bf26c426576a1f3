"""The words of a command line: flags where Hydra's parser wants them, quotes where it needs them, plain words.

A shell hands over one word for `data.path=a (1).csv`, but in Hydra's grammar brackets, commas, quotes, `=` and letters
outside of a-z have a meaning. So the values of keys that take file names, column names or other plain text are quoted
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
    *("data.path", "data.other", "data.root", "model.autoencoder", "run", "resume", "out", "samples"),
    *("hydra.run.dir", "hydra.sweep.dir"),
)
TEXTS = (*PATHS, "name", "data.label", "data.key", "checkpoint", "y")
LISTS = ("data.columns",)
WITH_NUMBERS = ("samples", "checkpoint", "y")  # keys whose whole numbers mean numbers
SINGLE = ("run", "resume", "hydra.run.dir", "hydra.sweep.dir")  # keys that are never swept over

RUNS_OWN = ("model.", "data.path=", "data.root=")  # keys of a trained run's config, which its verbs' configs lack

PLAIN = re.compile(r"[\w./%@+:-]([\w ./%@+:-]*[\w./%@+:-])?", re.ASCII)  # what Hydra reads as text without quotes
NUMBER = re.compile(r"[+-]?((\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d+)?|nan|inf)|true|false", re.ASCII | re.IGNORECASE)
SWEEP = re.compile(r"(choice|range|interval|glob|shuffle|sort|tag)\(.*\)")


def prepared(verb: str, words: Sequence[str]) -> list[str]:
    """The words after a verb as Hydra's grammar wants them.

    Raises:
        UserError: `model=` after a verb whose model is that of a trained run.
    """
    sweep = any(each in MULTIRUN for each in words)
    ready = [quoted(each, sweep) for each in words]
    if verb not in ("sample", "evaluate"):
        return ready
    if any(each.startswith("model=") for each in ready):
        raise UserError("model: a trained run keeps its model; single settings change: model.sample_steps=10")
    own = RUNS_OWN if any(each.startswith("run=") for each in ready) else RUNS_OWN[:1]
    return [f"+{each}" if each.startswith(own) else each for each in ready]


def quoted(word: str, sweep: bool = False) -> str:
    """Put quotes around the value of a key that takes plain text, where Hydra's grammar would misread it.

    Values that the user has quoted, `null` and interpolations stay as they are; `~/` becomes the home folder in paths.

    Args:
        sweep: commas separate values, unless there is a file or folder of the whole word.
    """
    key, equals, value = word.partition("=")
    bare = key.lstrip("+")
    if not equals or bare not in (*TEXTS, *LISTS):
        return word
    if sweep and bare not in SINGLE and not (bare in PATHS and os.path.lexists(home(value))):
        if SWEEP.fullmatch(value):
            return word
        values = split(value, brackets=bare in LISTS)
    else:
        values = [value]
    make = _list if bare in LISTS else _text
    return f"{key}={','.join(make(bare, each) for each in values)}"


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
    """A list: commas separate the names in it, and what else they hold is theirs."""
    if not (value.startswith("[") and value.endswith("]")):
        return _text(key, value)
    names = [each for each in split(value[1:-1]) if each]
    return f"[{','.join(quote(each) if each == 'null' else _text(key, each) for each in names)}]"


def _is_grammar(value: str) -> bool:
    """Whether a value is to be read as Hydra reads it."""
    in_quotes = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
    return not value or in_quotes or value.lower() == "null" or value == "???" or "${" in value


def split(text: str, brackets: bool = False) -> list[str]:
    """Split at commas, except in quotes that open at the start of a piece; without blanks at the ends of pieces.

    Args:
        brackets: whether commas within [ ] belong to a piece.
    """
    pieces, quote_, depth = [""], "", 0
    for character in text:
        if quote_:
            quote_ = "" if character == quote_ else quote_
        elif character in "'\"" and not pieces[-1].strip(" [" if brackets else " "):
            quote_ = character
        elif brackets and character in "[]":
            depth += 1 if character == "[" else -1
        elif character == "," and depth <= 0:
            pieces.append("")
            continue
        pieces[-1] += character
    return [piece.strip() for piece in pieces]


def quote(text: str) -> str:
    """Quote a text for Hydra's grammar, whatever characters it has."""
    # Backslashes stand for themselves there, except in front of a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), text)
    return f"'{escaped}'"


def home(path: str) -> str:
    """Replace `~` at the start of a path by the home folder, as a shell does where the path is a word of its own."""
    return os.path.expanduser(path) if path == "~" or path.startswith("~/") else path


def folders_and_options(
    verb: str, arguments: Sequence[str], options: Mapping[str, str | None]
) -> tuple[list[str], dict[str, str | None]]:
    """Sort the words of a verb that takes folders and key=value, and that Hydra does not read.

    A word that names an existing file or folder is one, whatever is in it: the folders of a sweep's jobs have `=`.

    Args:
        options: the keys there are, with their defaults.

    Returns:
        The folders, and the options with the values that were given.

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
    """Parse key=value words that are given besides `resume=`.

    Raises:
        UserError: a word that cannot be read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    found = []
    for word in words:
        try:
            found += OverridesParser.create().parse_overrides([word])
        except HydraException as error:
            raise UserError(unreadable(word)) from error
    return found


def unreadable(word: str) -> str:
    """Say what to write in place of a word that Hydra's grammar does not take."""
    key, equals, value = word.partition("=")
    if not equals or not key or key.startswith("~"):
        return f"'{word}' cannot be read: write key=value, without blanks around the ="
    return (
        f"{word}: the value cannot be read; brackets, commas, quotes, = and letters outside of a-z need quotes: "
        f'"{key}={quote(value)}" is plain text, {key}=[a,b] a list'
    )


def flags_first(arguments: list[str]) -> list[str]:
    """Put -m in front, where Hydra's parser wants it: `train model=vae -m seed=0,1` is a natural thing to write.

    Raises:
        UserError: a flag that Hydra does not have, or --cfg of something else than it shows.
    """
    for each in arguments:
        if each.startswith("-") and (flag := each.split("=")[0]) not in FLAGS:
            raise UserError(f"unknown flag '{flag}'{did_you_mean(flag, FLAGS)}; see --help and --hydra-help")
    for flag, value in pairwise([*arguments, ""]):
        if flag in WITH_VALUE and not value:
            raise UserError(f"{flag} needs a value: {flag} VALUE")
        if flag in ("-c", "--cfg"):
            choose(flag, value, ("job", "hydra", "all"))
    sweep = [each for each in arguments if each in MULTIRUN]
    return sweep[:1] + [each for each in arguments if each not in sweep]


WITH_VALUE = (
    *("-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
)
MULTIRUN = ("-m", "--multirun")
# Of Hydra's own, --experimental-rerun is missing: it would load a pickle.
FLAGS = (
    *("-h", "--help", "--hydra-help", "--version", "-c", "--cfg", "--resolve", "-p", "--package", "-r", "--run"),
    *(*MULTIRUN, "-i", "--info", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
    targets.FLAG,
)
