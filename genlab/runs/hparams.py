"""The row of a run in TensorBoard's table of runs (its HParams tab).

A run writes its own settings and how it ended, and no list of columns. TensorBoard then makes the table itself
from all runs that it sees: the union of their settings, those that differ first, and every curve as a live measure. (A
list of columns written by one run would stand for all of them, without the keys that only other models have.)
"""

# Protobuf makes the names of its modules when they are imported.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from torch.utils.tensorboard import FileWriter


def row(settings: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """Settings by dotted key -> the columns of a run: `model._target_` becomes `model`, lists become text.

    What is null is left out (an empty cell), so that a column of numbers stays one that can be sorted; so is the run's
    own name, by which the row is called.
    """
    found: dict[str, bool | float | str] = {}
    for key, value in settings.items():
        if value is None or key == "name" or key.endswith("_partial_"):
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
        self._writer.add_summary(summary_v2.hparams_pb(row(settings), trial_id=name))
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
