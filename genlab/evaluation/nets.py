"""Chooses the feature net that judges the images of a data set."""

import torch

from genlab.data.base import Dataset, data_root
from genlab.evaluation.judges import JUDGES
from genlab.metrics import images
from genlab.metrics.classifier import ready_classifier
from genlab.metrics.features import FeatureNet


def feature_net(word: str, data: Dataset, root: str | None, where: torch.device) -> tuple[FeatureNet | None, str]:
    """Returns the feature net named `word`, or None and the reason.

    Args:
        word: classifier, inception or none; auto: the classifier if the data has labels to train it on, else none.
        root: folder of the data files, in which nets are kept too; None: the default folder.

    Raises:
        UserError: the net named by `word` is not available.
    """
    if not JUDGES[data.spec.layout].by_features:
        return None, "points are compared without a feature net"
    if word == "none":
        return None, "net=none"
    if word == "auto" and not data.spec.classes:
        return None, "the data has no labels to train a classifier on; net=inception works without labels"
    return images.feature_net("classifier" if word == "auto" else word, data, data_root(root), where), ""


def net_of_training(
    word: str, data: Dataset, root: str | None, where: torch.device, monitor: str
) -> tuple[FeatureNet | None, str]:
    """Returns the feature net for the measures taken during training, and a hint for the user ("" for none).

    With `auto` a run does not wait for a net to be trained: it uses the classifier if there is one, and trains one only
    if `monitor` needs it.
    """
    by_features = monitor.removeprefix("eval/") in ("fid", "precision", "recall", "classes", "balance")
    if word != "auto" or by_features or not JUDGES[data.spec.layout].by_features or not data.spec.classes:
        return feature_net(word, data, root, where)[0], ""
    net = ready_classifier(data, data_root(root), where)
    hint = f"no eval/fid: the classifier that judges {data.name} is not trained yet; genlab prepare does so, once, "
    hint += "with this run's data options: genlab prepare data=... data.path=..."
    return net, "" if net else hint
