"""`genlab sample run=RUN n=64`: draws from a trained model; writes `samples.npz` and `grid.png` to the run folder.

For a model of a table, it also writes `samples.csv`, with the table's columns in their own units. Rows of typed tables,
series from files, graphs and molecules are written in the format of their source instead of `samples.npz`.
"""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from genlab.commands import settings
from genlab.commands.classes import asked_for, class_names, notes
from genlab.config import build
from genlab.errors import UserError, choose
from genlab.runs.folder import Run
from genlab.trainer.options import EXECUTIONS

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from genlab.data.base import Dataset
    from genlab.models.base import Family

CHUNK = 500  # samples drawn at a time, to bound the memory
FILES = (".csv", ".tsv", ".parquet", ".npz", ".npy", ".json", ".png")
REAL = 2000  # test samples behind the points in grid.png


def sample(config: DictConfig, folder: Path) -> None:
    """Draw `n` samples with a seed; the same seed gives the same samples.

    `samples.npz` holds `samples` (n, *shape) float32: images in [0, 1], points in data units (float64 for a table,
    which is also written as `samples.csv`), series (n, T, C). For a conditional model it also holds `labels` (n,), the
    class number of each sample, and `classes` and `class_counts` (K,), the names of the classes and their numbers of
    training samples. Classes are drawn in the proportions of the training data; y=NAME draws one class, y=each all of
    them in turn.

    A translation model writes translations of n test samples, the test samples as `originals`, and the translations
    translated back as `cycles`. A model without a prior writes reconstructions of n test samples, and the test samples
    as `originals`.

    Raises:
        UserError: no such run, checkpoint or model setting, a wrong value, changed data, or a folder that cannot be
            written.
    """
    if OmegaConf.is_missing(config, "run"):
        raise UserError("'run' needs a value: genlab sample run=outputs/...")
    for key, lowest in (("n", 1), ("seed", 0), *(() if config.horizon is None else (("horizon", 1),))):
        if not isinstance(config[key], int) or config[key] < lowest:
            raise UserError(f"{key}: {config[key]!r} is not an integer of at least {lowest}")
    asked = [key for key in ("fill", "given", "where") if config[key] is not None]
    if len(asked) > 1:
        raise UserError(f"{asked[0]} and {asked[1]} exclude each other; run genlab sample once for each")
    if config.out is not None and Path(str(config.out)).suffix in FILES:
        raise UserError(f"out: names a folder, but '{config.out}' looks like a file; samples have the source's format")
    if config.horizon is not None and config.given is None:
        raise UserError("horizon: needs the series that are to be continued: given=FILE")
    choose("precision", str(config.precision), ("fp32", "bf16"))
    choose("execution", str(config.execution), EXECUTIONS)
    run = Run.open(str(config.run))
    target = Run(Path(config.out)) if config.out else run
    changes = settings.changes(config.model)
    stored = run.read_config()
    settings.refuse_other_parts(run, stored, changes)
    changed = settings.apply(stored, changes) if changes else None
    places = settings.places(config)

    import numpy as np
    from PIL import Image

    from genlab.commands import fill as filling
    from genlab.commands import given as continuing
    from genlab.commands import source_format, tables
    from genlab.metrics.attempts import attempt
    from genlab.models.base import Sampler
    from genlab.trainer import checkpoint, device
    from genlab.trainer.execution.sampling import executed

    where = device.resolve(str(config.device))
    state = checkpoint.read(checkpoint.find(run.checkpoints, str(config.checkpoint)), where)
    model = build.revive(run, state, where, changed)
    device.seed(where, config.seed)
    if config.fill is not None:
        print(filling.fill(model, str(config.fill), target))
        return
    if config.given is not None:
        with device.precision(str(config.precision), where), executed(model, str(config.execution)):
            settings_ = (config.n, config.horizon, config.y, target)
            line, image = continuing.continue_series(model, str(config.given), *settings_)
        if image is not None:
            Image.fromarray(image).save(target.folder / "completed.png")
            line += f", {target.folder / 'completed.png'}"
        print(line)
        return
    if config.where is not None and not (model.spec.table and isinstance(model, Sampler)):
        raise UserError("where: applies to models that draw rows of a table (data=table) only")
    rows: list[Path] = []
    with device.precision(str(config.precision), where), executed(model, str(config.execution)):
        if model.spec.table and isinstance(model, Sampler):
            arrays, rows = tables.stream(model, config.n, config.y, target, config.where)
        elif model.spec.source and isinstance(model, Sampler):
            arrays, rows = source_format.stream(model, config.n, config.y, target)
        else:
            arrays = draw(model, config.n, run, config.y, state, places)
    reasons: dict[str, str] = {}
    image = attempt("grid.png", lambda: picture(arrays, model, run, config.y, state, places), reasons)
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        plain: dict[str, Any] = {name: array.cpu().numpy() for name, array in arrays.items()}
        if model.spec.layout == "sequence":  # papers and other tools keep series as (N, T, C)
            plain = {name: array if name == "labels" else array.swapaxes(1, 2) for name, array in plain.items()}
        written = rows
        if model.spec.table and not rows:
            written = tables.write_arrays(model, arrays, target)
        elif model.spec.source and not rows:
            written = source_format.write_arrays(model, arrays, target)
        elif not rows:
            np.savez_compressed(target.samples, **plain, **class_names(model) if "labels" in plain else {})
            written = [target.samples]
        if model.spec.columns and not model.spec.table and model.spec.layout == "vector":
            write_table(target.table, plain, model, run)
            written.append(target.table)
        if image is not None:
            Image.fromarray(image).save(target.grid)
            written.append(target.grid)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or target.folder}: {error.strerror}") from error
    for line in (*notes(model, run), *(f"no {name}: {reason}" for name, reason in reasons.items())):
        print(line)
    count = config.n if rows else len(arrays["samples"])
    fewer = "" if count == config.n else f" (not {config.n}: there are no more test samples)"
    print(f"{count} samples{fewer}: {', '.join(map(str, written))}")


def data_of(run: Run, model: "Family", state: dict[str, Any] | None, places: dict[str, Any] | None = None) -> "Dataset":
    """Returns the data set of a run, to draw from or to compare samples with.

    Args:
        state: the run's checkpoint, which records the data it was trained on; None: the config is trusted.
        places: where the files are now, as `data.path` or `data.root`.

    Raises:
        UserError: the data cannot be read, or differ from those the run was trained on.
    """
    from genlab.trainer.state import check_data

    data = build.data(settings.apply(run.read_config(), places or {}))
    check_data(state or {}, data)
    return data.to(model.device)


def write_table(path: Path, arrays: dict[str, "np.ndarray"], model: "Family", run: Run) -> None:
    """Write samples as CSV with the column names of the data, and class names if the model is conditional."""
    header, labels = [field.name for field in model.spec.columns], [[]] * len(arrays["samples"])
    if "labels" in arrays:
        header.append(str(run.read_config().data.get("label") or "label"))
        labels = [[model.spec.class_name(k)] for k in arrays["labels"]]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row, label in zip(arrays["samples"].tolist(), labels, strict=True):
            writer.writerow([*(field.cell(values) for field, values in model.spec.cut(row)), *label])


def draw(
    model: "Family",
    n: int,
    run: Run,
    y: int | str | None = None,
    state: dict[str, Any] | None = None,
    places: dict[str, Any] | None = None,
) -> dict[str, "Tensor"]:
    """Returns samples of the classes `y`, in data units, by their names in samples.npz.

    Draws from torch's global generator.

    Raises:
        UserError: no such class, or data that are needed have changed.
    """
    import torch

    from genlab.evaluation.abilities import samples
    from genlab.models.base import Reconstructor, Sampler, Translator, round_trip

    labels = asked_for(model, n, y)
    with torch.no_grad():
        if isinstance(model, Sampler):
            drawn = {"samples": model.spec.decode(samples(model, n, labels))}
            return drawn if labels is None else drawn | {"labels": labels}
        if isinstance(model, Translator):
            x = data_of(run, model, state, places).head("test", n)["a"]
            translated, back = round_trip(model, x)
            arrays = {"samples": translated, "originals": x, "cycles": back}
            return {name: model.spec.decode(array) for name, array in arrays.items()}
        if isinstance(model, Reconstructor):
            print("this model has no prior to draw from: the samples are reconstructions of test samples")
            x = data_of(run, model, state, places).head("test", n)["x"]
            reconstructed = torch.cat([model.reconstruct(part) for part in x.split(CHUNK)])
            return {"samples": model.spec.decode(reconstructed), "originals": model.spec.decode(x)}
    raise UserError("this model can neither sample nor translate nor reconstruct")


def real_rows(data: "Dataset", n: int, arrays: dict[str, "Tensor"], y: int | str | None) -> "Tensor":
    """Returns the first n test samples; if one class was requested, only those of that class, if there are any."""
    real, own = data.real("test", n), data.splits["test"].y
    if y is None or str(y) in ("null", "each") or own is None or "labels" not in arrays:
        return real
    of_class = real[(own[: len(real)] == arrays["labels"][0].to(own.device)).to(real.device)]
    return of_class if len(of_class) else real


def picture(
    arrays: dict[str, "Tensor"],
    model: "Family",
    run: Run,
    y: int | str | None = None,
    state: dict[str, Any] | None = None,
    places: dict[str, Any] | None = None,
) -> "np.ndarray":
    """Draws a grid of images, or a scatter or pair plot of points over real ones, if those can still be read.

    For translations: rows of images, their translations and those translated back; or points over the other domain.
    """
    from genlab.models.base import Measured
    from genlab.plots.drawers import DRAWERS
    from genlab.plots.images import known_classes

    def real() -> "Tensor | None":
        if isinstance(model, Measured):
            return None
        try:
            data = data_of(run, model, state, places)
            return data.decode(data.head("test", REAL)["b"]) if "cycles" in arrays else real_rows(data, REAL, arrays, y)
        except UserError as error:  # the data are needed only for the background
            print(f"grid.png shows no real samples: {error}")
            return None

    columns = len(known_classes(model)) if "labels" in arrays and str(y) == "each" else None
    return DRAWERS[model.spec.layout].sheet(model.spec, arrays, columns, real)
