"""What TensorBoard's HParams and Custom Scalars tabs need beyond the curves themselves.

HParams: a run writes its own settings and how it ended, and no list of columns. TensorBoard then makes the table itself
from all runs that it sees: the union of their settings, those that differ first, and every curve as a live measure. (A
list of columns written by one run would stand for all of them, without the keys that only other models have.)

Custom Scalars: which curves share a chart follows from their tags: train/PHASE/KEY, eval/KEY, lr/PHASE, time/KEY.
"""

# Protobuf makes the names of its modules when they are imported.
# pyright: reportAttributeAccessIssue=false

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from torch.utils.tensorboard import FileWriter

Charts = dict[str, list[str]]  # title -> tags
Layout = dict[str, dict[str, list[Any]]]  # category -> title -> ["Multiline", patterns], as torch's writer takes it
CATEGORIES = ("losses", "measures", "training")


def columns(settings: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """Settings by dotted key -> the columns of a run: `model._target_` becomes `model`, lists become text.

    What is null is left out (an empty cell), so that a column of numbers stays one that can be sorted.
    """
    found: dict[str, bool | float | str] = {}
    for key, value in settings.items():
        if value is None or key.endswith("_partial_"):
            continue
        if key.endswith("._target_"):
            key, value = key.removesuffix("._target_"), str(value).rpartition(".")[2]
        found[key] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return found


class Session:
    """The row of a run in the HParams table: its settings, and in the end how it went.

    In an event file of its own, which a resumed run writes anew: of two sessions of a run TensorBoard keeps the first.
    """

    SUFFIX = ".session"

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        for old in folder.glob(f"events.*{self.SUFFIX}"):
            old.unlink()
        self._writer = FileWriter(str(folder), filename_suffix=self.SUFFIX)
        # Two folders of different sweeps may bear the same name: rows of one name would be averaged.
        name = "/".join(folder.resolve().parts[-2:])
        self._writer.add_summary(summary_v2.hparams_pb(columns(settings), trial_id=name))
        self._writer.flush()

    def close(self, success: bool | None) -> None:
        """Say how the run ended. None: it has not; its status stays "unknown", like that of a run cut off."""
        if success is not None:
            status = api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE
            end = plugin_data_pb2.HParamsPluginData(session_end_info=plugin_data_pb2.SessionEndInfo(status=status))
            content = metadata.create_summary_metadata(end)
            value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=content, tensor=metadata.NULL_TENSOR)
            self._writer.add_summary(Summary(value=[value]))
        self._writer.close()


def layout(tags: Iterable[str]) -> Layout:
    """The charts for these tags, for `SummaryWriter.add_custom_scalars`.

    All categories are always there: TensorBoard merges the layouts of several runs by the first run's categories.
    """
    names = sorted(tags)
    train = [tag.split("/") for tag in names if re.fullmatch(r"train/[^/]+/[^/]+", tag)]
    held_out = {tag for tag in names if tag.startswith("eval/")}
    losses: Charts = {}
    if len([1 for _, _, key in train if key == "loss"]) > 1:  # discriminator and generator
        losses["losses of all phases"] = [f"train/{phase}/loss" for _, phase, key in train if key == "loss"]
    for phase in dict.fromkeys(phase for _, phase, _ in train):  # Wasserstein estimate and penalty; the ELBO's terms
        losses[f"terms of the {phase} loss"] = [f"train/{phase}/{key}" for _, p, key in train if p == phase]
    seen = set()
    for _, phase, key in train:
        twin = {f"eval/{key}", f"eval/{phase}/{key}"} & held_out
        seen |= twin
        if twin:
            losses[f"{phase} {key}: training and validation"] = [f"train/{phase}/{key}", *twin]
    training: Charts = {}
    for title, prefix in (("learning rates", "lr/"), ("gradient norms", "gradient_norm/")):
        training[title] = [tag for tag in names if tag.startswith(prefix)]
    for tag in names:
        if tag.startswith("time/"):
            training[tag.removeprefix("time/").replace("_", " ").replace(" per s", " a second")] = [tag]
    charts = (losses, related(sorted(held_out - seen)), training)
    return {
        category: {
            title: ["Multiline", [f"{re.escape(tag)}$" for tag in each]] for title, each in chart.items() if each
        }
        for category, chart in zip(CATEGORIES, charts, strict=True)
    }


def related(tags: list[str]) -> Charts:
    """Measures in charts: names that differ in the first or last word alone share one, as cycle and identity error do.

    The rest have a chart each: measures come in units of their own.
    """
    charts: Charts = {}
    left = list(tags)
    for cut in (lambda words: words[1:], lambda words: words[:-1]):
        groups: dict[str, list[str]] = {}
        for tag in left:
            if rest := cut(tag.split("/")[-1].split("_")):
                groups.setdefault("_".join(rest), []).append(tag)
        for stem, group in groups.items():
            if len(group) > 1:
                charts[stem.replace("_", " ")] = group
                left = [tag for tag in left if tag not in group]
    return charts | {tag.split("/", 1)[1].replace("_", " "): [tag] for tag in left}
