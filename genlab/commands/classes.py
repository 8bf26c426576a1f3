"""Classes of samples: which ones to draw, their names, and notes on them for the user."""

from typing import TYPE_CHECKING, Any

from genlab.errors import UserError, did_you_mean
from genlab.runs.folder import Run

if TYPE_CHECKING:
    from torch import Tensor

    from genlab.models.base import Family


def asked_for(model: "Family", n: int, y: int | str | None) -> "Tensor | None":
    """Returns class numbers for n samples, (n,): all of class `y`, all classes in turn (`each`), else as in training.

    `y` is the name of a class, or its number if the names are not numbers. Returns None if the model has no classes.

    Raises:
        UserError: the model has no classes, no class of that name, or was trained on no sample of it.
    """
    import torch

    from genlab.plots.images import classes_in_turn

    word = None if y is None or str(y) == "null" else str(y)
    if not model.conditional:
        if word is not None and model.spec.table:
            column = model.spec.table.label or "COLUMN"
            raise UserError(f"y: this model was trained without classes; ask by column: where={{{column}: {word}}}")
        if word is not None:
            raise UserError("y: does not apply, because this model was trained without labels")
        return None
    if word is None:
        return model.draw_labels(n)
    spec = model.spec
    names = [spec.class_name(k) for k in range(spec.classes)]
    if word == "each" and word not in names:
        return classes_in_turn(model, n)
    if word not in names and not (word.isdecimal() and int(word) < spec.classes and not any(map(is_number, names))):
        shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        known = f"the classes are {shown}" if spec.labels else f"the classes are 0 to {spec.classes - 1}"
        raise UserError(f"y: '{word}' is not a class{did_you_mean(word, names)}; {known}, or 'each' for all in turn")
    k = names.index(word) if word in names else int(word)
    if spec.counts and not spec.counts[k]:
        raise UserError(f"y: there was no training sample of class '{names[k]}', so the model has not learned it")
    return torch.full((n,), k, device=model.device)


def is_number(name: str) -> bool:
    """Returns whether a class name is a number; if one is, `y` is always a name, never an index."""
    try:
        float(name)
    except ValueError:
        return False
    return True


def class_names(model: "Family") -> dict[str, Any]:
    """Returns the names (K,) of the classes and their training samples (K,), as stored in samples.npz."""
    import numpy as np

    spec = model.spec
    names = {"classes": np.array([spec.class_name(k) for k in range(spec.classes)], dtype=np.str_)}
    return names | ({"class_counts": np.array(spec.counts)} if spec.counts else {})


def notes(model: "Family", run: Run) -> list[str]:
    """Returns notes for the user on the classes of the samples, a line each."""
    label = run.read_config().data.get("label")
    if model.spec.nodes:  # of graphs, whose label may be found, not named
        label = (getattr(model.spec.source, "label", "") or "label") if model.spec.classes else None
    if label and not model.conditional and not model.spec.table:
        kind = type(model).__name__
        return [f"the label '{label}' is not sampled: this {kind} was trained without classes"]
    if model.conditional and not model.spec.counts:
        return ["the checkpoint is from an older genlab and has no class counts: all classes are equally likely"]
    return []
