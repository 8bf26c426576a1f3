"""genlab: the experiment runner for deep generative models."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genlab.loaded import Model

__version__ = "0.1.0"
command: list[str] = []  # the command line of this process, if it has one


def configs() -> Path:
    """Returns the folder of the configs: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return next(folder for folder in (package / "configs", package.parent / "configs") if folder.is_dir())


def load(run: str | Path, checkpoint: str | int = "last", device: str = "auto", **settings: Any) -> "Model":
    """Load a trained model from a run folder: `genlab.load("outputs/RUN").sample(100)`.

    Args:
        checkpoint: last, best, or the step of a numbered checkpoint.
        device: auto, cpu, cuda, cuda:N or mps.
        settings: model settings that replace its own, such as `sample_steps=10`, `guidance=3.0`.

    Raises:
        UserError: no such run or checkpoint, or a setting that the model does not have.
    """
    from genlab.loaded import load_model  # torch, which takes seconds

    return load_model(run, checkpoint, device, settings)
