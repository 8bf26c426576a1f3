"""`genlab prepare data=mnist`: fetch a data set where it is absent, and check its bytes."""

from pathlib import Path

from omegaconf import DictConfig

from genlab import build


def prepare(config: DictConfig, folder: Path) -> None:
    """Load the data set once and say what is there.

    Raises:
        UserError: it cannot be fetched, or is damaged.
    """
    data = build.data(config)
    counts = ", ".join(f"{len(split.x):,} {name}" for name, split in data.splits.items())
    size = "x".join(map(str, data.spec.shape))
    print(f"{data.name}: {counts}; samples of {size}, {data.spec.classes} classes")
