"""Which `_target_`s a config may name, so that a run folder from someone else cannot make genlab call anything.

The rule: below `data` a target is a class or function defined in `genlab.data`; below `model` in `genlab.models` or
`genlab.networks`; below `trainer` it is `Options`; below `optimizer` an optimizer of `torch.optim`. All else is
refused, wherever the config comes from, unless the user says `--allow-targets` or sets GENLAB_ALLOW_TARGETS=1.
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
# What Hydra understands besides; `_args_` would go past the check of names and types.
KEYS = ("_target_", "_partial_", "_convert_")


def allowed() -> bool:
    """Whether the user has allowed targets outside of genlab."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def resolve(name: Any, path: str) -> Any:
    """The class or function of that dotted name; `path` is where the config names it.

    Nothing is imported unless it is genlab's or torch.optim's, and what the name leads to must be defined there: no
    way through a module of genlab to one that it imports.

    Raises:
        UserError: it is not one that may be named, or it cannot be imported.
    """
    if not isinstance(name, str):
        raise UserError(f"{path}: names no _target_ to build")
    rooms = ROOMS.get(path.partition(".")[0], ())
    if not allowed() and not (NAME.fullmatch(name) and name.startswith(rooms)):
        raise _refused(name, path, rooms)
    try:
        found = resolve_name(name)
    except Exception as error:  # whatever importing the module raises
        raise UserError(f"{path}._target_: cannot import '{name}' ({brief(error)})") from error
    if not allowed() and not (_at_home(found, name, rooms) and (path[:4] != "opti" or _is_optimizer(found))):
        raise _refused(name, path, rooms)
    if not callable(found):
        raise UserError(f"{path}._target_: '{name}' is nothing that can be called")
    return found


def check_targets(node: Any, path: str) -> None:
    """Check all that Hydra would build from a plain, resolved node, however deep it stands.

    Raises:
        UserError: a target that may not be named, or a key of Hydra's that genlab has no use for.
    """
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                resolve(value, path)
            elif re.fullmatch(r"_[a-z]+_", str(key)) and key not in KEYS:
                raise UserError(f"{path}.{key}: genlab has no use for it; allowed: {', '.join(KEYS)}")
            check_targets(value, f"{path}.{key}")
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            check_targets(value, f"{path}[{index}]")


def _at_home(found: Any, name: str, rooms: tuple[str, ...]) -> bool:
    """Defined in one of the rooms, and no method or module: the name leads through no import of another module."""
    if not (inspect.isclass(found) or inspect.isfunction(found)) or found.__qualname__ != found.__name__:
        return False
    # torch.optim shows its classes one floor above the modules that define them.
    module = name.rpartition(".")[0]
    return f"{found.__module__}.".startswith(rooms) and f"{found.__module__}.".startswith(f"{module}.")


def _is_optimizer(found: Any) -> bool:
    from torch.optim import Optimizer

    return inspect.isclass(found) and issubclass(found, Optimizer)


def _refused(name: str, path: str, rooms: tuple[str, ...]) -> UserError:
    return UserError(
        f"{path}._target_: '{name}' is none of those in {', '.join(room[:-1] for room in rooms)}, and a config from "
        f"elsewhere could run anything by it; if you trust this one, add {FLAG}"
    )
