"""Writes the row of a run in TensorBoard's table of runs (the HParams tab).

A run writes its own settings and how it ended, but no list of columns. TensorBoard then builds the table from all runs
it sees: the union of their settings, those that differ first, and every curve as a live measure. (A list of columns
written by one run would apply to all of them, without the keys that only other models have.)
"""

# Protobuf creates the names in its modules at import time.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from torch.utils.tensorboard import FileWriter


def row(settings: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """Converts settings by dotted key to the columns of a run: `model._target_` becomes `model`, lists become text.

    Null values are left out (an empty cell), so that a column of numbers can still be sorted; so is the run's own name,
    which names the row.
    """
    columns: dict[str, bool | float | str] = {}
    for key, value in settings.items():
        if value is None or key == "name" or key.endswith("_partial_"):
            continue
        if key.endswith("._target_"):
            key, value = key.removesuffix("._target_"), str(value).rpartition(".")[2]
        columns[key] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return columns


class Session:
    """The row of a run in the HParams table: its settings and, once it has ended, its status.

    It has its own event file, which a resumed run replaces, because TensorBoard keeps only the first of two sessions.
    """

    SUFFIX = ".session"

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        for old in folder.glob(f"events.*{self.SUFFIX}"):
            old.unlink()
        self._writer = FileWriter(str(folder), filename_suffix=self.SUFFIX)
        # Folders of different sweeps may have the same name, and rows with the same name would be averaged.
        name = "/".join(folder.resolve().parts[-2:])
        self._writer.add_summary(summary_v2.hparams_pb(row(settings), trial_id=name))
        self._writer.flush()

    def close(self, success: bool | None) -> None:
        """Write how the run ended. None: it has not ended; its status stays "unknown", like that of a killed run."""
        if success is not None:
            status = api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE
            end = plugin_data_pb2.HParamsPluginData(session_end_info=plugin_data_pb2.SessionEndInfo(status=status))
            content = metadata.create_summary_metadata(end)
            value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=content, tensor=metadata.NULL_TENSOR)
            self._writer.add_summary(Summary(value=[value]))
        self._writer.close()
