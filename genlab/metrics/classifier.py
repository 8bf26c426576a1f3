"""The feature net `classifier`: a small CNN, trained once on a data set's own train split and kept on disk.

Features of Inception, made for photographs, say little of digits. This net knows the data: plain supervised training
with AdamW on the one-cycle schedule, from a fixed seed, on raw pixels / 255, whatever the range that a model asks for.

I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", 2019, https://arxiv.org/abs/1711.05101.
L. N. Smith, N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2018,
https://arxiv.org/abs/1708.07120.
"""

import hashlib
import time
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from genlab.data.base import Dataset, Split, mix
from genlab.errors import UserError, brief
from genlab.machine import cache_root
from genlab.metrics.features import FeatureNet, Say, fingerprint
from genlab.networks.classifier import Classifier
from genlab.networks.table import TABLE
from genlab.runs.files import write_atomically

# `version` rises with any change of the net or of the training below; `least` steps are taken of the smallest data.
RECIPE = {"version": 1, "passes": 4, "least": 60, "batch": 128, "rate": 4e-3, "decay": 0.01, "warm": 0.25, "seed": 0}
FOLDER = "genlab-nets"


def classifier(data: Dataset, root: Path, device: torch.device | str = "cpu", say: Say = print) -> FeatureNet:
    """The classifier of a labelled image data set: read from disk, or trained now and kept there.

    It depends on RECIPE and on the training data alone (on all of it, where a run takes a part); torch's global
    generators are neither read nor moved. The file lies in `root`/genlab-nets, or in the user's cache folder where
    `root` cannot be written; several processes may ask at once, and the file that is there first is what all use.

    Args:
        root: the folder of the data files.
        say: told what is going on when it is trained, or when a file is damaged.

    Raises:
        UserError: the data are no labelled uint8 images.
    """
    paths = _paths(data, root)
    found = _read_first(paths, data, say)
    if found is None:
        say(f"training the classifier that judges {data.name}, once (a minute or two on two cores)")
        begun = time.perf_counter()
        net = train(data, device)
        accuracy = test_accuracy(net, data.splits.get("test"))
        right = "" if accuracy is None else f"{100 * accuracy:.2f} % of the test images right, "
        seconds = time.perf_counter() - begun
        found = _read_first(paths, data, lambda line: None)  # another process may have been faster
        kept = "another process was faster, and its net is taken" if found else _keep(paths, net, accuracy)
        say(f"classifier: {right}{seconds:.0f} s; {kept}")
        found = found or (net, accuracy)
    return _judge(data, *found, device)


def ready_classifier(data: Dataset, root: Path, device: torch.device | str = "cpu") -> FeatureNet | None:
    """The classifier where it has been trained before; None where it has not, or where the data can have none."""
    found = _read_first(_paths(data, root), data, lambda line: None) if _labelled(data) else None
    return found and _judge(data, *found, device)


def _labelled(data: Dataset) -> bool:
    return ("classifier", data.spec.layout) in TABLE and bool(data.spec.classes) and data.whole.y is not None


def _paths(data: Dataset, root: Path) -> list[Path]:
    """Where the net of this data may lie, the best place first.

    Raises:
        UserError: the data are no labelled uint8 images.
    """
    if not _labelled(data) or data.whole.x.dtype != torch.uint8:
        raise UserError(f"feature net classifier: it learns from images with labels, and {data.name} has none")
    x, y = data.whole
    assert y is not None
    recipe = hashlib.sha256(repr(RECIPE).encode()).hexdigest()[:6]
    file = f"{data.name}-{_shape(data)}-{fingerprint(x, y)}-{recipe}.pt"
    return [folder / FOLDER / file for folder in (Path(root), cache_root())]


def _shape(data: Dataset) -> str:
    return "x".join(map(str, data.spec.shape))


def _judge(data: Dataset, net: Classifier, accuracy: float | None, device: torch.device | str) -> FeatureNet:
    net = net.to(device).to(memory_format=torch.channels_last)  # twice as fast on a CPU
    return FeatureNet(f"classifier({data.name} {_shape(data)})", net, accuracy, balanced=True)


@torch.enable_grad()
def train(data: Dataset, device: torch.device | str = "cpu") -> Classifier:
    """Train on the train split. The order of the data and the first weights are drawn on the CPU, from the seed."""
    x, y = data.whole
    assert y is not None
    net = _new_net(data).to(device).to(memory_format=torch.channels_last).train()
    batch = min(RECIPE["batch"], len(x))
    steps = len(x) // batch  # in a pass; the last few of each order are left out
    passes = max(RECIPE["passes"], -(-RECIPE["least"] // steps))
    optimizer = torch.optim.AdamW(net.parameters(), lr=RECIPE["rate"], weight_decay=RECIPE["decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RECIPE["rate"], total_steps=steps * passes, pct_start=RECIPE["warm"]
    )
    for number in range(passes):
        generator = torch.Generator().manual_seed(mix(RECIPE["seed"], number))
        order = torch.randperm(len(x), generator=generator).to(x.device)
        for index in order[: steps * batch].split(batch):
            images = x[index].to(device).float().div_(255).contiguous(memory_format=torch.channels_last)
            _, logits = net(images)
            loss = F.cross_entropy(logits, y[index].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def _new_net(data: Dataset) -> Classifier:
    """The net before training, drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix(RECIPE["seed"]))  # torch.manual_seed would reach the devices' as well
        return Classifier(data.spec.shape, data.spec.classes)


@torch.no_grad()
def test_accuracy(net: nn.Module, split: Split | None) -> float | None:
    """Share of a split's images that the net classifies rightly; None without labels."""
    if split is None or split.y is None:
        return None
    device = next(net.parameters()).device
    right = [
        (net(x.to(device).float() / 255)[1].argmax(1) == y.to(device)).sum()
        for x, y in zip(split.x.split(125), split.y.split(125), strict=True)
    ]
    return int(torch.stack(right).sum()) / len(split.y)


def _read_first(paths: list[Path], data: Dataset, say: Say) -> tuple[Classifier, float | None] | None:
    """The net and its accuracy from the first file that is there and whole; None without one."""
    for path in paths:
        try:
            if not path.is_file():
                continue
            state = torch.load(path, map_location="cpu", weights_only=True)
            net, accuracy = _new_net(data), state["accuracy"]
            net.load_state_dict(state["net"])
            if not all(value.isfinite().all() for value in net.state_dict().values()):
                raise ValueError("weights that are not finite")
            return net, accuracy
        except Exception as error:  # torch.load raises whatever the damage leads to
            say(f"damaged {path}: trained anew ({brief(error)})")
    return None


def _keep(paths: list[Path], net: Classifier, accuracy: float | None) -> str:
    """Write the first file that can be written, whole or not at all; say where it is."""
    state = {"net": net.state_dict(), "accuracy": accuracy}
    for path in paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, partial(torch.save, state), shared=True)
        except OSError:
            continue
        return f"kept as {path}"
    return f"neither {paths[0].parent} nor {paths[1].parent} can be written, so it will be trained again"
