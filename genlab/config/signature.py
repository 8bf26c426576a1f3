"""Checks a config node against the signature of what it calls: keys, types, missing values."""

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal, Union

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from genlab.config import targets
from genlab.config.families import misplaced
from genlab.errors import UserError, did_you_mean


def target_of(node: Any, path: str) -> Any:
    """Returns the class or function that a node's `_target_` names.

    Raises:
        UserError: the node has no target, or one that is not allowed.
    """
    return targets.resolve(node.get("_target_") if isinstance(node, DictConfig) else None, path)


def arguments(node: DictConfig, path: str) -> dict[str, Any]:
    """Returns the values of a node as plain Python values.

    Raises:
        UserError: a key has no value, or an interpolation refers to nothing.
    """
    for key in (key for key in node if OmegaConf.is_missing(node, key)):
        raise UserError(f"'{path}.{key}' needs a value: add {path}.{key}=...")
    try:
        plain = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise UserError(f"'{error.full_key}' needs a value: add {error.full_key}=...") from error
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split())) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key not in targets.KEYS}


def check_arguments(target: Callable, node: DictConfig, path: str) -> None:
    """Checks the keys and values of a node, and of nodes inside it, against the signatures of what they call.

    Raises:
        UserError: a key has no value, the target does not take it, or its value has the wrong type.
    """
    values = arguments(node, path)
    function = target.__init__ if inspect.isclass(target) else target
    parameters = {n: p for n, p in inspect.signature(target).parameters.items() if n != "spec"}
    hints = typing.get_type_hints(function)
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for key, value in values.items():
        if key not in parameters and not open_ended:
            if foreign := misplaced(f"{path}.{key}", target) if path == "model" else "":
                raise UserError(foreign)
            known = ", ".join(name for name in parameters if name != "params")
            raise UserError(f"unknown option '{path}.{key}'{did_you_mean(key, parameters)}; allowed: {known}")
        child = node[key]
        if isinstance(child, DictConfig) and "_target_" in child:
            check_arguments(target_of(child, f"{path}.{key}"), child, f"{path}.{key}")
        elif key in parameters and inspect.isfunction(parameters[key].default):
            raise UserError(f"{path}.{key}: {value!r} cannot be built; give a _target_ and its keys")
        elif key in hints and not fits(value, hints[key]):
            raise UserError(f"{path}.{key}: {value!r} is not {describe(hints[key])}")


def fits(value: Any, hint: Any) -> bool:
    """Returns whether a config value may be passed to a parameter with this hint; unknown hints accept anything."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, option) for option in arguments)
    if origin is Literal:
        return value in arguments
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if inspect.isclass(hint) and hint not in (object, Any) and origin is None:
        return isinstance(value, hint)
    if origin in (list, tuple, Sequence):
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    return True


def describe(hint: Any) -> str:
    """Describes a type to the user: `an integer`, `one of fp32, bf16`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(option) for option in arguments if option in WORDS or typing.get_origin(option))
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (list, tuple, Sequence):
        return "a list, each " + describe(arguments[0])
    return WORDS.get(hint, str(hint))


WORDS = {int: "an integer", float: "a number", str: "text", bool: "true or false", type(None): "null"}
