"""A trained model in Python. Inputs and outputs are NumPy arrays in the data's own units, or pandas tables.

model = genlab.load("outputs/RUN")
samples = model.sample(100)
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlab.commands import settings as run_settings
from genlab.commands.classes import asked_for
from genlab.config import build
from genlab.data.series.source import Source
from genlab.errors import UserError
from genlab.evaluation import abilities
from genlab.models.base import Codec, Density, Family, Reconstructor, Sampler, Scorer, Translator
from genlab.runs.folder import Run
from genlab.trainer import checkpoint as checkpoints
from genlab.trainer import device as devices
from genlab.trainer.execution.sampling import executed

CHUNK = 500  # samples at a time, to bound the memory
ABILITIES: dict[str, type] = {
    "sample": Sampler,
    "reconstruct": Reconstructor,
    "encode": Codec,
    "decode": Codec,
    "translate": Translator,
    "score": Scorer,
    "log_prob": Density,
}


class Model:
    """A trained model in evaluation mode, with averaged weights if the run has them.

    Samples are (n, *shape): images in [0, 1], points and rows of a table in their own units. Series are (n, T, C), with
    the steps before the channels. Rows are returned as a DataFrame if pandas is installed, and so are series of a model
    that learned from a table, in long form. Graphs are a list of networkx graphs, molecules a list of SMILES. Methods
    accept samples in the same form, or as arrays or tensors.

    Args:
        family: the model itself, whose methods use tensors in the model's range.
        run: the run that it was loaded from.
    """

    def __init__(self, family: Family, run: Run) -> None:
        self.family, self.run, self.spec = family, run, family.spec

    def __repr__(self) -> str:
        return f"<{type(self.family).__name__} of {self.run.folder}: {', '.join(self.abilities)}>"

    @property
    def abilities(self) -> list[str]:
        """The methods that this model has."""
        return [name for name, kind in ABILITIES.items() if isinstance(self.family, kind)]

    def sample(self, n: int, y: int | str | Sequence[int] | None = None, seed: int | None = None) -> Any:
        """Draw n samples.

        Args:
            y: for a conditional model, the name or number of a class, "each" for all in turn, or n numbers; None: in
                the proportions of the training data.
            seed: the same seed gives the same samples; None: torch's global generator is used as it is.

        Raises:
            UserError: the model cannot sample, or has no such class.
        """
        family: Any = self._able("sample")
        if n < 1:
            raise UserError(f"n: must be at least 1, got {n}")
        if seed is not None:
            devices.seed(self.family.device, seed)
        if y is None or isinstance(y, int | str):
            labels = asked_for(self.family, n, y)
        else:
            labels = torch.as_tensor(y, dtype=torch.int64, device=self.family.device)
        if self.spec.table and self.spec.table.constraints:
            from genlab.commands.tables import fulfilling

            return self._frame(torch.cat(list(fulfilling(self.family, n, None, None if labels is None else y))))  # type: ignore[arg-type]
        with torch.no_grad(), executed(self.family, "auto"):
            return self._out(abilities.samples(family, n, labels), labels)

    def reconstruct(self, x: Any) -> Any:
        """Encode and decode samples."""
        return self._out(self._map(self._able("reconstruct").reconstruct, x))

    def encode(self, x: Any) -> np.ndarray:
        """Returns the codes of samples, (n, z_dim)."""
        return self._map(self._able("encode").encode, x).float().cpu().numpy()

    def decode(self, z: Any) -> Any:
        """Returns the samples decoded from codes (n, z_dim)."""
        codes = torch.as_tensor(np.asarray(z), dtype=torch.float32, device=self.family.device)
        with torch.no_grad():
            return self._out(torch.cat([self._able("decode").decode(part) for part in codes.split(CHUNK)]))

    def translate(self, x: Any, to: str = "b") -> Any:
        """Translate samples of one domain to the domain `to`, "a" or "b"."""
        family = self._able("translate")
        return self._out(self._map(lambda part: family.translate(part, to), x))

    def score(self, x: Any) -> np.ndarray:
        """Returns how real the model considers samples, on its own scale, (n,)."""
        return self._map(self._able("score").score, x).float().cpu().numpy()

    def log_prob(self, x: Any) -> np.ndarray:
        """Returns the log-density of samples in nats, (n,), for columns in their own units.

        For images, it is the density of pixels in the model's range, as in the family's `log_prob`.
        """
        return self._map(self._able("log_prob").log_prob, x).double().cpu().numpy() - self.spec.log_scale

    def _able(self, name: str) -> Any:
        if not isinstance(self.family, ABILITIES[name]):
            methods = ", ".join(self.abilities) or "none of these methods"
            raise UserError(f"a {type(self.family).__name__} has no {name}; it has: {methods}")
        return self.family

    def _map(self, function: Callable[[Tensor], Tensor], x: Any) -> Tensor:
        """Apply a function that takes samples in the model's range to samples in data units, `CHUNK` at a time."""
        values = self._rows(x).to(self.family.device)
        if values.shape[1:] != self.spec.shape:
            raise UserError(f"samples must have shape {self.spec.shape}, got {tuple(values.shape[1:])}")
        values = self.spec.from_units(values)
        with torch.no_grad():
            return torch.cat([function(part) for part in values.split(CHUNK)])

    def _rows(self, x: Any) -> Tensor:
        """Returns samples as a tensor; from a DataFrame, the model's columns in the model's order."""
        if self.spec.layout == "sequence":
            return self._series(x)
        if self.spec.nodes and isinstance(x, list):
            from genlab.data.graphs import given

            return given.of_objects(x, self.spec)
        if isinstance(x, Tensor):
            return x
        if not hasattr(x, "columns"):
            return torch.as_tensor(np.array(x))
        if self.spec.table:
            from genlab.data.frames import given, read

            return given.units(self.spec.table, read.read(x))[0]
        names = [column.name for column in self.spec.columns]
        if lacking := [name for name in names if name not in x.columns]:
            raise UserError(f"the table lacks the columns {', '.join(lacking)}")
        return torch.as_tensor(np.array(x[names]))

    def _series_out(self, units: Tensor, labels: Tensor | None) -> Any:
        """Convert series in units to a long DataFrame if the source was a table, else to an array (N, T, C)."""
        from genlab.data.series import write

        if self.spec.source is None:
            return units.transpose(1, 2).cpu().numpy()
        if write.suffix(self.spec) in (*write.ARRAYS, ".ts"):
            return write.array(self.spec, units)
        return write.arrow(self.spec, units, labels).to_pandas()

    def _series(self, x: Any) -> Tensor:
        """Returns series, (N, T, C) or a long DataFrame, as a tensor (N, C, T) in units."""
        from genlab.data.series import given

        if hasattr(x, "columns"):
            from genlab.data.frames import read

            if self.spec.source is None:
                raise UserError("this model did not learn from a table; its series are arrays (N, T, C)")
            return given.of_frame(read.read(x), self.spec)
        array = np.asarray(x)
        if array.ndim != 3:
            raise UserError(f"series are (N, T, C): series, steps, channels; got {array.shape}")
        if isinstance(self.spec.source, Source) and array.shape[2] == len(self.spec.source.names):
            return given.of_array(array, self.spec, "the array")
        return torch.as_tensor(np.array(array)).transpose(1, 2)

    def _frame(self, units: Tensor) -> Any:
        """Convert rows of a typed table in units to a DataFrame."""
        from genlab.data.frames.write import arrow

        assert self.spec.table is not None
        return arrow(self.spec.table, units).to_pandas()

    def _out(self, x: Tensor, labels: Tensor | None = None) -> Any:
        """Convert samples in the model's range to an array in data units, or to a DataFrame with column names."""
        if self.spec.layout == "sequence":
            return self._series_out(self.spec.decode(x), labels)
        if self.spec.nodes:
            from genlab.data.graphs.write import objects

            return objects(self.spec, self.spec.decode(x), labels)
        if self.spec.table:
            return self._frame(self.spec.decode(x))
        array = self.spec.decode(x).cpu().numpy()
        names = [column.name for column in self.spec.columns if column.size == 1]
        if not names or len(names) < len(self.spec.columns):
            return array
        try:
            from pandas import DataFrame
        except ImportError:
            return array
        return DataFrame(array, columns=names)


def load_model(folder: str | Path, checkpoint: str | int, device: str, settings: dict[str, Any]) -> Model:
    """Load a model; see `genlab.load`."""
    run = Run.open(str(folder))
    config = run.read_config()
    changed = {f"model.{name}": value for name, value in settings.items()}
    run_settings.refuse_other_parts(run, config, changed)
    config = run_settings.apply(config, changed)
    where = devices.resolve(device)
    state = checkpoints.read(checkpoints.find(run.checkpoints, str(checkpoint)), where)
    return Model(build.revive(run, state, where, config), run)
