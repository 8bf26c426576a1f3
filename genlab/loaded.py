"""A trained model in Python: values in and out are NumPy arrays in the data's own units, or tables of pandas.

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
    """A trained model in evaluation mode, with averaged weights where the run has them.

    Samples are (n, *shape): images in [0, 1], points and rows of a table in their own units. Rows come as a DataFrame
    where pandas is installed. What takes samples takes them in the same form, or as arrays and tensors.

    Args:
        family: the model itself, whose methods work on tensors in the model's range.
        run: the folder that it comes from.
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
            y: of a conditional model the class, by its name or number, or "each" for all in turn, or n numbers;
                None: in the shares of the training data.
            seed: the same seed gives the same samples; None: torch's global generator goes on.

        Raises:
            UserError: the model cannot sample, or knows no such class.
        """
        family: Any = self._able("sample")
        if seed is not None:
            devices.seed(self.family.device, seed)
        if y is None or isinstance(y, int | str):
            labels = asked_for(self.family, n, y)
        else:
            labels = torch.as_tensor(y, dtype=torch.int64, device=self.family.device)
        with torch.no_grad(), executed(self.family, "auto"):
            return self._out(abilities.samples(family, n, labels))

    def reconstruct(self, x: Any) -> Any:
        """Encode and decode samples."""
        return self._out(self._map(self._able("reconstruct").reconstruct, x))

    def encode(self, x: Any) -> np.ndarray:
        """The codes of samples: (n, z_dim)."""
        return self._map(self._able("encode").encode, x).float().cpu().numpy()

    def decode(self, z: Any) -> Any:
        """The samples that codes (n, z_dim) stand for."""
        codes = torch.as_tensor(np.asarray(z), dtype=torch.float32, device=self.family.device)
        with torch.no_grad():
            return self._out(torch.cat([self._able("decode").decode(part) for part in codes.split(CHUNK)]))

    def translate(self, x: Any, to: str = "b") -> Any:
        """Samples of one domain carried over to the domain `to`, "a" or "b"."""
        family = self._able("translate")
        return self._out(self._map(lambda part: family.translate(part, to), x))

    def score(self, x: Any) -> np.ndarray:
        """How real the model finds samples, in its own scale: (n,)."""
        return self._map(self._able("score").score, x).float().cpu().numpy()

    def log_prob(self, x: Any) -> np.ndarray:
        """The log-density of samples in nats: (n,), of columns in their own units.

        Of images it is that of pixels in the model's range, as `log_prob` of the family says.
        """
        return self._map(self._able("log_prob").log_prob, x).double().cpu().numpy() - self.spec.log_scale

    def _able(self, name: str) -> Any:
        if not isinstance(self.family, ABILITIES[name]):
            can = ", ".join(self.abilities) or "nothing of the kind"
            raise UserError(f"a {type(self.family).__name__} has no {name}; it can: {can}")
        return self.family

    def _map(self, function: Callable[[Tensor], Tensor], x: Any) -> Tensor:
        """A function of samples in the model's range, of samples in data units, some at a time."""
        values = self._rows(x).to(self.family.device)
        if values.shape[1:] != self.spec.shape:
            raise UserError(f"samples of shape {tuple(values.shape[1:])}; this model takes {self.spec.shape}")
        values = self.spec.from_units(values)
        with torch.no_grad():
            return torch.cat([function(part) for part in values.split(CHUNK)])

    def _rows(self, x: Any) -> Tensor:
        """Samples as a tensor; of a DataFrame the columns that the model knows, in its order."""
        if isinstance(x, Tensor):
            return x
        if not hasattr(x, "columns"):
            return torch.as_tensor(np.array(x))
        names = [each.name for each in self.spec.columns]
        if lacking := [name for name in names if name not in x.columns]:
            raise UserError(f"the table lacks the columns {', '.join(lacking)}")
        return torch.as_tensor(np.array(x[names]))

    def _out(self, x: Tensor) -> Any:
        """Samples in the model's range as an array in data units, or a DataFrame with the names of the columns."""
        array = self.spec.decode(x).cpu().numpy()
        names = [each.name for each in self.spec.columns if each.size == 1]
        if not names or len(names) < len(self.spec.columns):
            return array
        try:
            from pandas import DataFrame
        except ImportError:
            return array
        return DataFrame(array, columns=names)


def load_model(folder: str | Path, checkpoint: str | int, device: str, settings: dict[str, Any]) -> Model:
    """See `genlab.load`."""
    run = Run.open(str(folder))
    config = run.read_config()
    changed = {f"model.{name}": value for name, value in settings.items()}
    run_settings.refuse_other_parts(run, config, changed)
    config = run_settings.apply(config, changed)
    where = devices.resolve(device)
    state = checkpoints.read(checkpoints.find(run.checkpoints, str(checkpoint)), where)
    return Model(build.revive(run, state, where, config), run)
