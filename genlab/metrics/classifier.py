"""The feature net `classifier`: a small CNN, trained once on a data set's own train split and kept on disk.

Inception's features are made for photographs and say little about digits, so this net is trained on the data itself:
plain supervised training with AdamW and a one-cycle schedule, from a fixed seed, on raw pixels / 255, whatever range a
model uses.

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

# Raise `version` with any change to the net or to the training below; small data sets get at least `least` steps.
RECIPE = {"version": 1, "passes": 4, "least": 60, "batch": 128, "rate": 4e-3, "decay": 0.01, "warm": 0.25, "seed": 0}
FOLDER = "genlab-nets"


def classifier(data: Dataset, root: Path, device: torch.device | str = "cpu", say: Say = print) -> FeatureNet:
    """Returns the classifier of a labelled image data set: read from disk, or trained now and kept there.

    It depends only on RECIPE and on the training data (all of it, even if a run uses a part); torch's global
    generators are neither used nor changed. The file is in `root`/genlab-nets, or in the user's cache folder if
    `root` is not writable. Several processes may call this at once: all use the file that was written first.

    Args:
        root: the folder of the data files.
        say: receives a line when the net is trained, or when a file is damaged.

    Raises:
        UserError: the data are not labelled uint8 images.
    """
    paths = _paths(data, root)
    found = _read_first(paths, data, say)
    if found is None:
        say(f"training the classifier that judges {data.name}, once (takes a minute or two on two cores)")
        begun = time.perf_counter()
        net = train(data, device)
        accuracy = test_accuracy(net, data.splits.get("test"))
        right = "" if accuracy is None else f"{100 * accuracy:.2f} % test accuracy, "
        seconds = time.perf_counter() - begun
        found = _read_first(paths, data, lambda line: None)  # another process may have been faster
        kept = "another process was faster; using its net" if found else _keep(paths, net, accuracy)
        say(f"classifier: {right}{seconds:.0f} s; {kept}")
        found = found or (net, accuracy)
    return _judge(data, *found, device)


def ready_classifier(data: Dataset, root: Path, device: torch.device | str = "cpu") -> FeatureNet | None:
    """Returns the classifier if it has been trained before; None if not, or if the data cannot have one."""
    found = _read_first(_paths(data, root), data, lambda line: None) if _labelled(data) else None
    return found and _judge(data, *found, device)


def _labelled(data: Dataset) -> bool:
    return ("classifier", data.spec.layout) in TABLE and bool(data.spec.classes) and data.whole.y is not None


def _paths(data: Dataset, root: Path) -> list[Path]:
    """Returns the possible paths of the net for this data, the preferred one first.

    Raises:
        UserError: the data are not labelled uint8 images.
    """
    if not _labelled(data) or data.whole.x.dtype != torch.uint8:
        raise UserError(f"feature net classifier: it is trained on images with labels, which {data.name} does not have")
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
    """Trains a net on the train split. Data order and initial weights are drawn on the CPU, from the seed."""
    x, y = data.whole
    assert y is not None
    net = _new_net(data).to(device).to(memory_format=torch.channels_last).train()
    batch = min(RECIPE["batch"], len(x))
    steps = len(x) // batch  # per pass; the last incomplete batch is dropped
    passes = max(RECIPE["passes"], -(-RECIPE["least"] // steps))
    optimizer = torch.optim.AdamW(net.parameters(), lr=RECIPE["rate"], weight_decay=RECIPE["decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RECIPE["rate"], total_steps=steps * passes, pct_start=RECIPE["warm"]
    )
    for pass_number in range(passes):
        generator = torch.Generator().manual_seed(mix(RECIPE["seed"], pass_number))
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
    """Returns the untrained net, initialised by the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix(RECIPE["seed"]))  # torch.manual_seed would also seed the devices
        return Classifier(data.spec.shape, data.spec.classes)


@torch.no_grad()
def test_accuracy(net: nn.Module, split: Split | None) -> float | None:
    """Returns the share of a split's images that the net classifies correctly; None without labels."""
    if split is None or split.y is None:
        return None
    device = next(net.parameters()).device
    right = [
        (net(x.to(device).float() / 255)[1].argmax(1) == y.to(device)).sum()
        for x, y in zip(split.x.split(125), split.y.split(125), strict=True)
    ]
    return int(torch.stack(right).sum()) / len(split.y)


def _read_first(paths: list[Path], data: Dataset, say: Say) -> tuple[Classifier, float | None] | None:
    """Returns the net and its accuracy from the first intact file; None if there is none."""
    for path in paths:
        try:
            if not path.is_file():
                continue
            state = torch.load(path, map_location="cpu", weights_only=True)
            net, accuracy = _new_net(data), state["accuracy"]
            net.load_state_dict(state["net"])
            if not all(value.isfinite().all() for value in net.state_dict().values()):
                raise ValueError("weights are not finite")
            return net, accuracy
        except Exception as error:  # torch.load of a damaged file may raise anything
            say(f"damaged file {path}: training the net again ({brief(error)})")
    return None


def _keep(paths: list[Path], net: Classifier, accuracy: float | None) -> str:
    """Writes the net to the first path that is writable, atomically; returns a text that says where it is."""
    state = {"net": net.state_dict(), "accuracy": accuracy}
    for path in paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, partial(torch.save, state), shared=True)
        except OSError:
            continue
        return f"saved as {path}"
    return f"neither {paths[0].parent} nor {paths[1].parent} is writable, so it will be trained again next time"
