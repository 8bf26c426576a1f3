"""Reads the trained families that a model contains (an autoencoder) from run folders, and keeps copies of them.

A run that uses the model of another run must not depend on that run's folder, which may be moved, trained further or
removed. So the run keeps `KEY.pt`, a checkpoint of the other family's weights with the text of its config, and reads it
from then on.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from genlab.errors import UserError
from genlab.runs.folder import Run

if TYPE_CHECKING:
    from genlab.models.base import Family


def source(word: str, key: str, home: Run | None) -> Path:
    """Returns where to read the trained family of a key: the run's own copy, else the named folder or file."""
    if home is not None and home.part(key).is_file():
        return home.part(key)
    return Path(word).expanduser()


def read(place: Path) -> tuple[str, dict[str, Any]]:
    """Reads the config text and the state of a trained family from a run folder's last checkpoint or a run's copy.

    Raises:
        UserError: there is no trained family.
    """
    from genlab.trainer import checkpoint

    if place.is_file():
        state = checkpoint.read(place)
        if not isinstance(text := state.get("config"), str):
            raise UserError(f"{place} has no model config; give the folder of a run")
        return text, state
    run = Run.open(place)
    return OmegaConf.to_yaml(run.read_config()), checkpoint.read(checkpoint.find(run.checkpoints, "last"))


def keep(run: Run, key: str, word: str, family: "Family") -> None:
    """Writes the run's copy of the family that its model has under a key, unless it exists already.

    Raises:
        OSError: the copy cannot be written.
    """
    from genlab.trainer import checkpoint

    if not run.part(key).exists():
        text, _ = read(source(word, key, run))
        state = {"step": 0, "spec": family.spec.state(), "counts": list(family.spec.counts)}
        checkpoint.write(run.part(key), state | {"family": family.state_dict(), "config": text})
