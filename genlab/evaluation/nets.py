"""Which feature net judges the images of a data set."""

import torch

from genlab.data.base import Dataset, data_root
from genlab.evaluation.judges import JUDGES
from genlab.metrics import images
from genlab.metrics.classifier import ready_classifier
from genlab.metrics.features import FeatureNet


def feature_net(word: str, data: Dataset, root: str | None, where: torch.device) -> tuple[FeatureNet | None, str]:
    """The net that a word names, or None and why.

    Args:
        word: classifier, inception or none; auto: the classifier where the data has labels to train it on, else none.
        root: folder of the data files, where nets are kept as well; None: the usual place.

    Raises:
        UserError: the net that was asked for by name cannot be had.
    """
    if not JUDGES[data.spec.layout].by_features:
        return None, "points are compared as they are"
    if word == "none":
        return None, "net=none"
    if word == "auto" and not data.spec.classes:
        return None, "the data has no labels to train a classifier on; net=inception needs none"
    return images.feature_net("classifier" if word == "auto" else word, data, data_root(root), where), ""


def net_of_training(
    word: str, data: Dataset, root: str | None, where: torch.device, monitor: str
) -> tuple[FeatureNet | None, str]:
    """The same for the measures that a run takes of itself; the words that the user should read, "" for none.

    `auto` does not make a run wait for a net to be trained: it takes the classifier that is there, and trains one only
    where `monitor` needs it.
    """
    by_features = monitor.removeprefix("eval/") in ("fid", "precision", "recall", "classes", "balance")
    if word != "auto" or by_features or not JUDGES[data.spec.layout].by_features or not data.spec.classes:
        return feature_net(word, data, root, where)[0], ""
    net = ready_classifier(data, data_root(root), where)
    hint = "" if net else f"no eval/fid: 'genlab prepare data=...' trains the classifier that judges {data.name}, once"
    return net, hint
