"""Turns Hydra's errors about a command line into one line: what was wrong, what is allowed, the nearest word.

Runs only after a failure, so it can afford to compose the config a second time.
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
    """Returns the error as a `UserError` with a one-line message."""
    text = str(error)
    for cause in causes(error):
        if isinstance(cause, UserError):  # a launcher or a sweeper rejected its options
            return cause
    is_list = any(re.match(r"(model|data)=\[", word) for word in overrides)
    if is_list or "Config group override must be a string" in text:
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
        return UserError(f"{match[1]}: this gives several values: add -m for a sweep")
    if match := re.search(r"Could not delete .*'([^']+)'", text):
        return UserError(f"~{match[1]}: there is no such key")
    if match := re.search(r"Cannot find primary config '([^']+)'", text):
        return UserError(f"--config-name: there is no config '{match[1]}'")
    if re.search("interpolation|not in struct", text, re.IGNORECASE) and (
        removed := [word for word in overrides if word.startswith("~")]
    ):
        return UserError(f"{' '.join(removed)}: cannot be removed: other parts of the config refer to it")
    if match := re.search(r"Could not override '([^']+)'", text):
        key = match[1]
        models = [word.partition("=")[2] for word in overrides if word.startswith("model=")]
        for model in (name for value in models for name in value.split(",")):  # the one of a sweep that lacks it
            if foreign := misplaced(key, class_of(model)):
                return UserError(foreign)
        return UserError(unknown_option(key, defaults(config_name, overrides, key.startswith("hydra.")), groups()))
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return UserError(f"'{match[1]}' has several values: add -m for a sweep, or write key=[a,b] for a list")
    if match := re.search(r"Error merging override (.*)", text):
        reason = brief(error.__cause__).split(" full_key:")[0] if error.__cause__ else "the value does not fit this key"
        return UserError(f"{match[1]}: {reason}")
    if isinstance(error, OSError) and not isinstance(error, ConfigCompositionException):
        return UserError(f"cannot write {error.filename or 'the run folder'}: {error.strerror or brief(error)}")
    if match := re.search(r"Missing mandatory value: (\S+)", text):
        return UserError(f"'{match[1]}' needs a value: add {match[1]}=...")
    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        return UserError(f"cannot make a config from the command line: {brief(error)}")
    reason = [line.strip() for line in text.splitlines() if not re.search(r"See https|full_key:|object_type=", line)]
    return UserError(" ".join(reason))


def no_choice(overrides: list[str]) -> str:
    """Returns the message for a group that is set to a number or null instead of the name of a config: model=0."""
    for word in overrides:
        group, _, value = word.lstrip("+").partition("=")
        options = sorted(path.stem for path in (configs() / group).glob("*.yaml")) if group in groups() else []
        if options and value not in options:
            return f"{group}: '{value}' is none of {', '.join(options)}"
        if not group:
            return unreadable(word)
    return "choose a group by the name of one of its configs: model=vae"


def groups() -> list[str]:
    """Returns the config groups that a user can choose from: model, data, experiment, debug, ..."""
    return sorted(folder.name for folder in configs().iterdir() if folder.is_dir() and folder.name != "hydra")


def unknown_option(key: str, config: DictConfig, groups: Iterable[str] = ()) -> str:
    """Returns the message for a key that the config does not have: the nearest key and its siblings.

    Args:
        groups: words that are allowed at the top level although the config has no such key.
    """
    if foreign := misplaced(key, OmegaConf.select(config, "model._target_")):
        return foreign
    if key in groups and isinstance(config.get(key), DictConfig):
        return f"{key}: choose one of its configs with {key}=NAME, or set single values with {key}.KEY=VALUE"
    parent, _, word = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if not isinstance(node, DictConfig):
        return f"unknown option '{key}'{did_you_mean(key, leaves(config))}"
    siblings = [str(name) for name in node if not str(name).startswith("_")]
    siblings += [name for name in groups if not parent and name not in siblings]
    near = did_you_mean(word, siblings) or did_you_mean(key, leaves(config))
    # An existing key without its prefix: steps=10 for trainer.steps=10.
    deeper = [leaf for leaf in leaves(config) if leaf.split(".")[-1] == word]
    near = f"; did you mean '{deeper[0]}'?" if deeper and not near else near
    return f"unknown option '{key}'{near}; allowed{f' in {parent}' if parent else ''}: {', '.join(siblings)}"


def leaves(config: DictConfig, prefix: str = "") -> Iterable[str]:
    """Yields all dotted keys of a config that hold values."""
    for name in config:
        node = config._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none():
            yield from leaves(node, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def defaults(config_name: str, overrides: list[str], with_hydra: bool = False) -> DictConfig:
    """Returns the config with the groups chosen on the command line, but with no value changed."""
    chosen = [word.split(",")[0] for word in overrides if word.split("=")[0] in groups()]
    try:
        return compose(config_name, chosen, with_hydra)
    except Exception:  # the choices have a second mistake: use the defaults
        return compose(config_name, with_hydra=with_hydra)


def refuse_unread(config: DictConfig, config_name: str, overrides: list[str]) -> None:
    """Rejects settings that nothing would read: a `tuned=` that does not exist, keys added by `+key=value`.

    The tuned defaults of a data set and model are optional, so Hydra accepts any word for them. Added keys are rejected
    at the top level and among the optimizers; keys added to the model, the data or the trainer are checked against
    their signatures when these are built. A user's own key is fine if the config refers to it by ${key}.

    Raises:
        UserError: nothing reads a key.
    """
    for word in overrides:
        if word.startswith("tuned="):
            name, available = word.partition("=")[2], GlobalHydra.instance().config_loader().get_group_options("tuned")
            if name not in (*available, "null"):
                near = did_you_mean(name, available)
                raise UserError(f"tuned: no defaults are called '{name}'; write DATA_MODEL or none{near}")
    if not any(word.startswith("+") for word in overrides):
        return
    known = defaults(config_name, [word.lstrip("+") for word in overrides])
    text = OmegaConf.to_yaml(config)
    for word in overrides:
        key = word.split("=")[0].lstrip("+")
        first, *more = key.split(".")
        if not word.startswith("+") or "/" in key or "@" in key:
            continue
        if first == "hydra":
            if more and more[0] not in HydraConf.__dataclass_fields__:
                raise UserError(f"unknown option '{key}'{did_you_mean(more[0], HydraConf.__dataclass_fields__)}")
        elif key in MOVED and config_name in ("evaluate", "sample"):  # the new place of a run's data files
            continue
        elif first not in known and first in config and f"${{{first}" not in text:
            raise UserError(unknown_option(first, known, groups()))
        elif first == "optimizer" and more and more[0] not in known.optimizer:
            raise UserError(unknown_option(f"optimizer.{more[0]}", known))
