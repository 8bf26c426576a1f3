"""Restricts the `_target_`s that a config may name, so that another person's run folder cannot run arbitrary code.

The rule: below `data` a target is a class or function defined in `genlab.data`; below `model` in `genlab.models` or
`genlab.networks`; below `trainer` it is `Options`; below `optimizer` an optimizer of `torch.optim`. Everything else is
rejected, wherever the config comes from, unless the user adds `--allow-targets` or sets GENLAB_ALLOW_TARGETS=1.
"""

import inspect
import os
import re
from pkgutil import resolve_name
from typing import Any

from genlab.errors import UserError, brief

VARIABLE = "GENLAB_ALLOW_TARGETS"
FLAG = "--allow-targets"
ROOMS = {
    "data": ("genlab.data.",),
    "model": ("genlab.models.", "genlab.networks."),
    "trainer": ("genlab.trainer.options.",),
    "optimizer": ("torch.optim.",),
}
NAME = re.compile(r"[a-z]\w*(\.[A-Za-z]\w*)+", re.ASCII)
# Hydra's special keys, without `_args_`, which would bypass the check of names and types.
KEYS = ("_target_", "_partial_", "_convert_")


def allowed() -> bool:
    """Returns whether the user has allowed targets outside genlab."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def resolve(name: Any, path: str) -> Any:
    """Returns the class or function with a dotted name; `path` is the config key that names it.

    Only modules of genlab and torch.optim are imported, and the target must be defined there, so a name cannot reach
    another module through the imports of a genlab module.

    Raises:
        UserError: the target is not allowed, or cannot be imported.
    """
    if not isinstance(name, str):
        raise UserError(f"{path}: has no _target_ to build")
    rooms = ROOMS.get(path.partition(".")[0], ())
    if not allowed() and not (NAME.fullmatch(name) and name.startswith(rooms)):
        raise _refused(name, path, rooms)
    try:
        target = resolve_name(name)
    except Exception as error:  # importing a module can raise anything
        raise UserError(f"{path}._target_: cannot import '{name}' ({brief(error)})") from error
    if not allowed() and not (_at_home(target, name, rooms) and (path[:4] != "opti" or _is_optimizer(target))):
        raise _refused(name, path, rooms)
    if not callable(target):
        raise UserError(f"{path}._target_: '{name}' is not callable")
    return target


def check_targets(node: Any, path: str) -> None:
    """Checks everything that Hydra would build from a plain, resolved node, at any depth.

    Raises:
        UserError: a target is not allowed, or genlab does not support one of Hydra's special keys.
    """
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                resolve(value, path)
            elif re.fullmatch(r"_[a-z]+_", str(key)) and key not in KEYS:
                raise UserError(f"{path}.{key}: genlab does not support this key; allowed: {', '.join(KEYS)}")
            check_targets(value, f"{path}.{key}")
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            check_targets(value, f"{path}[{index}]")


def _at_home(target: Any, name: str, rooms: tuple[str, ...]) -> bool:
    """Returns whether a target is a class or function defined in one of the rooms, not one that a module imports."""
    if not (inspect.isclass(target) or inspect.isfunction(target)) or target.__qualname__ != target.__name__:
        return False
    # torch.optim exports its classes one level above the modules that define them.
    module = name.rpartition(".")[0]
    return f"{target.__module__}.".startswith(rooms) and f"{target.__module__}.".startswith(f"{module}.")


def _is_optimizer(target: Any) -> bool:
    from torch.optim import Optimizer

    return inspect.isclass(target) and issubclass(target, Optimizer)


def _refused(name: str, path: str, rooms: tuple[str, ...]) -> UserError:
    return UserError(
        f"{path}._target_: '{name}' is not in {', '.join(room[:-1] for room in rooms)}, and a config from "
        f"elsewhere could use it to run any code; if you trust this config, add {FLAG}"
    )
