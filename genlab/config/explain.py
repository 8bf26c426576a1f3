"""Turns what Hydra raises about a command line into one line: what was wrong, what is allowed, the nearest word.

Runs only after a failure, so it may compose the config a second time.
"""

import re
from collections.abc import Iterable

from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genlab import configs
from genlab.config.arguments import unreadable
from genlab.config.compose import compose
from genlab.config.families import class_of, misplaced
from genlab.errors import UserError, brief, causes, did_you_mean

MOVED = ("data.path", "data.root")


def explain(error: Exception, config_name: str, overrides: list[str]) -> UserError:
    """The error as a `UserError` with a one-line message."""
    text = str(error)
    for cause in causes(error):
        if isinstance(cause, UserError):  # a launcher or a sweeper refused its options
            return cause
    listed = any(re.match(r"(model|data)=\[", each) for each in overrides)
    if listed or "Config group override must be a string" in text:
        return UserError(no_choice(overrides))
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, word = (error.missing_cfg_file or "").rpartition("/")
        options = [option for option in error.options if group != "tuned"]
        return UserError(f"{group}: '{word}' is none of {', '.join(options)}{did_you_mean(word, options)}")
    if match := re.search(r"Could not load '([^']+)/([^'/]+)'", text):  # one of several: experiment=[a,b]
        options = sorted(path.stem for path in (configs() / match[1]).glob("*.yaml"))
        return UserError(f"{match[1]}: '{match[2]}' is none of {', '.join(options)}{did_you_mean(match[2], options)}")
    if match := re.search(r"Multiple values for (\S+)\. .*: (\S+)'", text):
        return UserError(f"'{match[1]}' has a value already: write {match[1]}={match[2]}, once and without +")
    if match := re.search(r"raised while resolving interpolation: (.*)", text):  # one of our own resolvers
        return UserError(match[1])
    for cause in causes(error):
        if isinstance(cause, OverrideParseException):
            return UserError(unreadable(cause.override))
    if match := re.search(r"Sweep parameters '(.*)' requires --multirun", text):
        return UserError(f"{match[1]}: it names several values: add -m for a sweep")
    if match := re.search(r"Could not delete .*'([^']+)'", text):
        return UserError(f"~{match[1]}: there is no such key")
    if match := re.search(r"Cannot find primary config '([^']+)'", text):
        return UserError(f"--config-name: there is no config '{match[1]}'")
    if re.search("interpolation|not in struct", text, re.IGNORECASE) and (
        gone := [word for word in overrides if word.startswith("~")]
    ):
        return UserError(f"{' '.join(gone)}: cannot be left out, other parts of the config refer to it")
    if match := re.search(r"Could not override '([^']+)'", text):
        key = match[1]
        models = [each.partition("=")[2] for each in overrides if each.startswith("model=")]
        for model in (name for each in models for name in each.split(",")):  # the one of a sweep that lacks it
            if foreign := misplaced(key, class_of(model)):
                return UserError(foreign)
        return UserError(unknown_option(key, defaults(config_name, overrides, key.startswith("hydra.")), groups()))
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return UserError(f"'{match[1]}' names several values: add -m for a sweep, or write key=[a,b] for a list")
    if match := re.search(r"Error merging override (.*)", text):
        said = brief(error.__cause__).split(" full_key:")[0] if error.__cause__ else "the value does not fit this key"
        return UserError(f"{match[1]}: {said}")
    if isinstance(error, OSError) and not isinstance(error, ConfigCompositionException):
        return UserError(f"cannot write {error.filename or 'the run folder'}: {error.strerror or brief(error)}")
    if match := re.search(r"Missing mandatory value: (\S+)", text):
        return UserError(f"'{match[1]}' needs a value: add {match[1]}=...")
    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        return UserError(f"the command line makes no config: {brief(error)}")
    said = [line.strip() for line in text.splitlines() if not re.search(r"See https|full_key:|object_type=", line)]
    return UserError(" ".join(said))


def no_choice(overrides: list[str]) -> str:
    """What to say where a group is given a number or null in place of the name of a config: model=0."""
    for word in overrides:
        group, _, value = word.lstrip("+").partition("=")
        options = sorted(path.stem for path in (configs() / group).glob("*.yaml")) if group in groups() else []
        if options and value not in options:
            return f"{group}: '{value}' is none of {', '.join(options)}"
        if not group:
            return unreadable(word)
    return "a group is chosen by the name of a config: model=vae"


def groups() -> list[str]:
    """The groups that a user chooses from: model, data, experiment, debug, ..."""
    return sorted(folder.name for folder in configs().iterdir() if folder.is_dir() and folder.name != "hydra")


def unknown_option(key: str, config: DictConfig, groups: Iterable[str] = ()) -> str:
    """What to say of a key that the config does not have: the nearest one, and its siblings.

    Args:
        groups: words that may stand at the top although the config has no such key.
    """
    if foreign := misplaced(key, OmegaConf.select(config, "model._target_")):
        return foreign
    if key in groups and isinstance(config.get(key), DictConfig):
        return f"{key}: name one of its configs, {key}=NAME; single values are {key}.KEY=VALUE"
    parent, _, word = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if not isinstance(node, DictConfig):
        return f"unknown option '{key}'{did_you_mean(key, leaves(config))}"
    siblings = [str(name) for name in node if not str(name).startswith("_")]
    siblings += [name for name in groups if not parent and name not in siblings]
    near = did_you_mean(word, siblings) or did_you_mean(key, leaves(config))
    # A key that is right in itself but stands one level too high: steps=10 for trainer.steps=10.
    deeper = [leaf for leaf in leaves(config) if leaf.split(".")[-1] == word]
    near = f"; did you mean '{deeper[0]}'?" if deeper and not near else near
    return f"unknown option '{key}'{near}; allowed{f' in {parent}' if parent else ''}: {', '.join(siblings)}"


def leaves(config: DictConfig, prefix: str = "") -> Iterable[str]:
    """All dotted keys of a config that hold values."""
    for name in config:
        node = config._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none():
            yield from leaves(node, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def defaults(config_name: str, overrides: list[str], with_hydra: bool = False) -> DictConfig:
    """The config with the groups chosen as on the command line, and no value changed."""
    chosen = [each.split(",")[0] for each in overrides if each.split("=")[0] in groups()]
    try:
        return compose(config_name, chosen, with_hydra)
    except Exception:  # a second mistake in the choices: the defaults will do
        return compose(config_name, with_hydra=with_hydra)


def refuse_unread(config: DictConfig, config_name: str, overrides: list[str]) -> None:
    """Refuse what nothing would read: a `tuned=` that is not there, keys added by `+key=value`.

    Defaults of a pair are optional, so that Hydra takes any word for them. Keys are refused at the top and among the
    optimizers.

    What is added to the model, the data or the trainer is checked against their signatures when they are built; a key
    of one's own that the config refers to, by ${key}, is read.

    Raises:
        UserError: nothing reads a key.
    """
    for word in overrides:
        if word.startswith("tuned="):
            name, there = word.partition("=")[2], GlobalHydra.instance().config_loader().get_group_options("tuned")
            if name not in (*there, "null"):
                near = did_you_mean(name, there)
                raise UserError(f"tuned: no defaults are called '{name}': DATA_MODEL, or none{near}")
    if not any(word.startswith("+") for word in overrides):
        return
    known = defaults(config_name, [each.lstrip("+") for each in overrides])
    text = OmegaConf.to_yaml(config)
    for word in overrides:
        key = word.split("=")[0].lstrip("+")
        first, *more = key.split(".")
        if not word.startswith("+") or "/" in key or "@" in key:
            continue
        if first == "hydra":
            if more and more[0] not in HydraConf.__dataclass_fields__:
                raise UserError(f"unknown option '{key}'{did_you_mean(more[0], HydraConf.__dataclass_fields__)}")
        elif key in MOVED and config_name in ("evaluate", "sample"):  # where a run's data files are now
            continue
        elif first not in known and first in config and f"${{{first}" not in text:
            raise UserError(unknown_option(first, known, groups()))
        elif first == "optimizer" and more and more[0] not in known.optimizer:
            raise UserError(unknown_option(f"optimizer.{more[0]}", known))
