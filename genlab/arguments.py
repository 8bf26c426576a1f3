"""The words of a command line, made fit for Hydra's parser: flags where it wants them, quotes where it needs them."""

import re
from itertools import pairwise
from pathlib import Path

from genlab import targets
from genlab.errors import UserError, choose, did_you_mean

DATA_PATHS = ("data.path", "data.other", "data.root")
RUN_PATHS = ("run", "resume")


def quoted(word: str) -> str:
    """Put quotes around a path that Hydra's grammar would refuse or misread.

    Of data: one with ~, a bracket, an umlaut, or of digits alone. Of runs, where there is such a folder: one with = or
    commas, as the jobs of a sweep have them.
    """
    key, _, value = word.partition("=")
    if not value or value[0] in "'\"":
        return word
    if key in RUN_PATHS and re.search(r"[^\w./:-]|[^\x00-\x7f]", value) and Path(value).exists():
        return f"{key}='" + value.replace("'", "\\'") + "'"
    if key in DATA_PATHS and not set(value) & set("'\",") and re.search(r"[^\w ./:-]|[^\x00-\x7f]|^[\d.]+$", value):
        return f"{key}='{value}'"
    return word


def flags_first(arguments: list[str]) -> list[str]:
    """Put -m in front, where Hydra's parser wants it: `train model=vae -m seed=0,1` is a natural thing to write.

    Raises:
        UserError: a flag that Hydra does not have, or --cfg of something else than it shows.
    """
    for each in arguments:
        if each.startswith("-") and (flag := each.split("=")[0]) not in FLAGS:
            raise UserError(f"unknown flag '{flag}'{did_you_mean(flag, FLAGS)}; see --help and --hydra-help")
    for flag, value in pairwise(arguments):
        if flag in ("-c", "--cfg"):
            choose(flag, value, ("job", "hydra", "all"))
    sweep = [each for each in arguments if each in ("-m", "--multirun")]
    return sweep[:1] + [each for each in arguments if each not in sweep]


# Of Hydra's own, --experimental-rerun is missing: it would load a pickle.
FLAGS = (
    *("-h", "--help", "--hydra-help", "--version", "-c", "--cfg", "--resolve", "-p", "--package", "-r", "--run"),
    *("-m", "--multirun", "-i", "--info", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
    targets.FLAG,
)
