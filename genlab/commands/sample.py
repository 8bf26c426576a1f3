"""`genlab sample run=RUN n=64`: draw from a trained model; `samples.npz` and `grid.png` in the run folder.

Of a model of a table `samples.csv` as well, with the table's columns in their own units.
"""

import csv
import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from genlab import build
from genlab.commands import settings
from genlab.errors import UserError, choose
from genlab.run import Run
from genlab.trainer.options import EXECUTIONS

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from genlab.models.base import Family

CHUNK = 500  # samples drawn at a time, to bound the memory
SHOWN = 100  # of them in grid.png


def sample(config: DictConfig, folder: Path) -> None:
    """Draw `n` samples with a seed; the same seed gives the same samples.

    `samples.npz` holds `samples` (n, *shape) float32: images in [0, 1], points in data units (float64 of a table, which
    is written as `samples.csv` as well); and, of a conditional
    model, `labels` (n,): the class `y` for all, or all classes in turn. A model that translates writes translations of
    n test samples, those as `originals`, and what comes back from the translations as `cycles`. One that has no prior
    to draw from writes reconstructions of n test samples, and those as `originals`.

    Raises:
        UserError: no such run, checkpoint or setting of its model, a wrong value, or a folder that cannot be written.
    """
    if OmegaConf.is_missing(config, "run"):
        raise UserError("'run' needs a value: genlab sample run=outputs/...")
    for key, lowest in (("n", 1), ("seed", 0)):
        if not isinstance(config[key], int) or config[key] < lowest:
            raise UserError(f"{key}: {config[key]!r} is not an integer of at least {lowest}")
    choose("precision", str(config.precision), ("fp32", "bf16"))
    choose("execution", str(config.execution), EXECUTIONS)
    run = Run.open(str(config.run))
    target = Run(Path(config.out)) if config.out else run
    changes = settings.changes(config.model)
    its = settings.apply(run.read_config(), changes) if changes else None

    import numpy as np
    from PIL import Image

    from genlab.trainer import device
    from genlab.trainer.calls import executed

    where = device.resolve(str(config.device))
    model = build.restore(run, str(config.checkpoint), where, its)
    device.seed(where, config.seed)
    with device.precision(str(config.precision), where), executed(model, str(config.execution)):
        arrays = draw(model, config.n, run, config.y)
    image = picture(arrays, model, run)
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        plain: dict[str, Any] = {name: array.cpu().numpy() for name, array in arrays.items()}
        np.savez_compressed(target.samples, **plain)
        written = [target.samples]
        if model.spec.columns:
            write_table(target.table, plain, model, run)
            written.append(target.table)
        if image is not None:
            Image.fromarray(image).save(target.grid)
            written.append(target.grid)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or target.folder}: {error.strerror}") from error
    print(f"{len(arrays['samples'])} samples: {', '.join(map(str, written))}")


def write_table(path: Path, arrays: dict[str, "np.ndarray"], model: "Family", run: Run) -> None:
    """The samples with the column names of the data, and of a conditional model the classes by their names."""
    header, labels = [column.name for column in model.spec.columns], [[]] * len(arrays["samples"])
    if "labels" in arrays:
        header.append(str(run.read_config().data.get("label") or "label"))
        labels = [[model.spec.labels[k]] for k in arrays["labels"]]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        # To a millionth of each column's deviation, which is what the model's single precision holds.
        places = [6 - math.floor(math.log10(column.deviation)) for column in model.spec.columns]
        for row, label in zip(arrays["samples"].tolist(), labels, strict=True):
            writer.writerow([*map(round, row, places), *label])


def draw(model: "Family", n: int, run: Run, y: int | None = None) -> dict[str, "Tensor"]:
    """Samples in data units, of class `y` or all in turn, by the name they get in samples.npz.

    Draws from torch's global generator.
    """
    import torch

    from genlab.evaluation.abilities import samples
    from genlab.models.base import Reconstructor, Sampler, Translator, round_trip
    from genlab.pictures import classes_in_turn

    if y is not None and not model.conditional:
        raise UserError("y: this model was trained without labels")
    if y is not None and y not in range(model.spec.classes):
        raise UserError(f"y: {y!r} is no class: there are 0 to {model.spec.classes - 1}")
    with torch.no_grad():
        if isinstance(model, Sampler):
            labels = classes_in_turn(model, n)
            if labels is None:
                return {"samples": model.spec.decode(samples(model, n))}
            labels = labels if y is None else torch.full_like(labels, y)
            return {"samples": model.spec.decode(samples(model, n, labels)), "labels": labels}
        if isinstance(model, Translator):
            x = build.data(run.read_config()).to(model.device).head("test", n)["a"]
            there, back = round_trip(model, x)
            arrays = {"samples": there, "originals": x, "cycles": back}
            return {name: model.spec.decode(array) for name, array in arrays.items()}
        if isinstance(model, Reconstructor):
            print("this model has no prior to draw from: these are reconstructions of test samples")
            x = build.data(run.read_config()).to(model.device).head("test", n)["x"]
            again = torch.cat([model.reconstruct(part) for part in x.split(CHUNK)])
            return {"samples": model.spec.decode(again), "originals": model.spec.decode(x)}
    raise UserError("this model can neither sample nor translate nor reconstruct")


def picture(arrays: dict[str, "Tensor"], model: "Family", run: Run) -> "np.ndarray | None":
    """A grid of images, or a scatter or pair plot of points over real ones where these can still be read.

    Of translations: rows of images, their translations, and what comes back; or points over the other domain.
    """
    from genlab.models.base import Measured
    from genlab.pairplot import pairplot
    from genlab.pictures import grid, rows, scatter

    if model.spec.is_image:
        if "cycles" in arrays:
            return rows(*(arrays[name][:SHOWN] for name in ("originals", "samples", "cycles")), columns=10)
        return grid(arrays["samples"][:SHOWN], columns=model.spec.classes if "labels" in arrays else None)
    if model.spec.shape != (2,) or model.spec.columns:
        real = None
        with suppress(UserError):  # samples of a table do not need the table
            data = build.data(run.read_config())
            real = data.decode(data.head("test", SHOWN * 20)["b" if "cycles" in arrays else "x"])
        return pairplot(real, arrays["samples"], [column.name for column in model.spec.columns])
    if isinstance(model, Measured):
        return scatter(None, arrays["samples"])
    data = build.data(run.read_config())
    real = data.decode(data.head("test", SHOWN * 20)["b"]) if "cycles" in arrays else data.real("test", SHOWN * 20)
    return scatter(real, arrays["samples"])
