"""The classes of samples: which are drawn, what they are called, what the user should know of them."""

from typing import TYPE_CHECKING, Any

from genlab.errors import UserError, did_you_mean
from genlab.runs.folder import Run

if TYPE_CHECKING:
    from torch import Tensor

    from genlab.models.base import Family


def asked_for(model: "Family", n: int, y: int | str | None) -> "Tensor | None":
    """The classes of n samples, (n,): of the class `y` by its name, of all in turn (`each`), else as in training.

    Where no class has that name, `y` may be its number. None where the model knows no classes.

    Raises:
        UserError: the model knows no classes, has none of that name, or has seen no sample of it.
    """
    import torch

    from genlab.plots.images import classes_in_turn

    word = None if y is None or str(y) == "null" else str(y)
    if not model.conditional:
        if word is not None:
            raise UserError("y: this model was trained without labels")
        return None
    if word is None:
        return model.draw_labels(n)
    spec = model.spec
    names = [spec.class_name(k) for k in range(spec.classes)]
    if word == "each" and word not in names:
        return classes_in_turn(model, n)
    if word not in names and not (word.isdecimal() and int(word) < spec.classes and not any(map(is_number, names))):
        shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        known = f"the classes are {shown}" if spec.labels else f"there are 0 to {spec.classes - 1}"
        raise UserError(f"y: '{word}' is no class{did_you_mean(word, names)}; {known}, or 'each' for all in turn")
    k = names.index(word) if word in names else int(word)
    if spec.counts and not spec.counts[k]:
        raise UserError(f"y: there is no training sample of class '{names[k]}', so the model knows nothing of it")
    return torch.full((n,), k, device=model.device)


def is_number(name: str) -> bool:
    """Whether a class is called by a number: then a number is a name, and never a position."""
    try:
        float(name)
    except ValueError:
        return False
    return True


def class_names(model: "Family") -> dict[str, Any]:
    """Names (K,) and training samples (K,) of the classes, as they are kept in samples.npz."""
    import numpy as np

    spec = model.spec
    names = {"classes": np.array([spec.class_name(k) for k in range(spec.classes)], dtype=np.str_)}
    return names | ({"class_counts": np.array(spec.counts)} if spec.counts else {})


def notes(model: "Family", run: Run) -> list[str]:
    """What the user should know of the classes of the samples, a line each."""
    label = run.read_config().data.get("label")
    if label and not model.conditional:
        kind = type(model).__name__
        return [f"the label '{label}' is not drawn: this {kind} was trained without classes"]
    if model.conditional and not model.spec.counts:
        return ["the checkpoint is of an older genlab and has no counts of the classes: they are drawn evenly"]
    return []
