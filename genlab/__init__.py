"""genlab: the experiment runner for deep generative models."""

from pathlib import Path

__version__ = "0.1.0"
command: list[str] = []  # the command line that this process follows, where it follows one


def configs() -> Path:
    """The folder of the configs: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return next(folder for folder in (package / "configs", package.parent / "configs") if folder.is_dir())
