"""`genlab prepare data=mnist`: downloads a data set if needed, verifies it, trains the feature net that judges it."""

from pathlib import Path

from omegaconf import DictConfig

from genlab.config import build
from genlab.errors import choose
from genlab.evaluation import NETS


def prepare(config: DictConfig, folder: Path) -> None:
    """Load the data set once and print a summary; for labelled images, also prepare the feature net.

    Raises:
        UserError: the data cannot be fetched, or are damaged.
    """
    choose("net", str(config.net), NETS)
    data = build.data(config)
    counts = ", ".join(f"{len(split.x):,} {name}" for name, split in data.splits.items())
    size = "x".join(map(str, data.spec.shape))
    print(f"{data.name}: {counts}; samples of {size}, {data.spec.classes} classes")

    from genlab.evaluation.nets import feature_net
    from genlab.trainer import device

    net, _ = feature_net(str(config.net), data, config.data.get("root"), device.resolve(str(config.device)))
    if net is not None:
        print(f"judged by {net}")
