"""Compares evaluations with published figures, and names the settings that differ.

    python scripts/results/check_reference.py outputs/RUN [...]

Every figure is quoted with its source. A Fréchet distance depends on the feature net and the number of samples, and a
likelihood on how pixels are treated, so figures are only comparable if they were measured in the same setting.
"""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from genlab.errors import UserError
from genlab.report.comparison import find_runs
from genlab.report.tables import columns, number
from genlab.runs.history import History


class Published(NamedTuple):
    """A published figure and the setting it was measured in."""

    model: str  # as in model=...
    data: str  # class of data=..., with its kind if it has kinds
    measure: str
    value: float
    source: str
    setting: Mapping[str, Any]  # settings of the run and of its evaluation ("net", "samples", "k", ...)


LUCIC = "Lucic et al. 2018, best of a wide search, https://arxiv.org/abs/1711.10337"
BURDA = "Burda et al. 2015, https://arxiv.org/abs/1509.00519"
VEEGAN = "Srivastava et al. 2017, https://arxiv.org/abs/1705.07761"
PACGAN = "Lin et al. 2018, https://arxiv.org/abs/1712.04086"
FID = {"net": "inception", "samples": 10_000, "reference": 10_000}
MODES = {"samples": 2500, "model.r1": 0.0, "model.unrolled": 0, "model.instance_noise": 0.0}
BINARIZED = {"data.range": "binary", "model.z_dim": 50, "k": 5000}

PUBLISHED = (
    *(
        Published(model, data, "fid", value, LUCIC, FID | extra)
        for model, extra, mnist, fashion in (
            ("GAN", {"model.loss": "minimax"}, 9.8, 29.6),
            ("GAN", {"model.loss": "non_saturating"}, 6.8, 26.5),
            ("GAN", {"model.loss": "lsgan"}, 7.8, 30.7),
            ("WGAN", {}, 6.7, 21.5),
            ("WGANGP", {}, 20.3, 24.5),
            ("VAE", {"model.likelihood": "bernoulli"}, 16.6, 43.6),
        )
        for data, value in (("MNIST", mnist), ("FashionMNIST", fashion))
    ),
    *(
        Published("VAE", "MNIST", "iwae_nll", value, BURDA, BINARIZED | {"model.importance_samples": k})
        for k, value in ((1, 86.76), (5, 85.54), (50, 84.78))
    ),
    *(
        Published("Flow", "MNIST", "bits_per_dim", value, source, {"data.size": 28})
        for value, source in (
            (1.06, "RealNVP, as quoted by Chen et al. 2019, https://arxiv.org/abs/1906.02735"),
            (1.05, "Glow, as quoted by Chen et al. 2019, https://arxiv.org/abs/1906.02735"),
        )
    ),
    Published("GAN", "Gaussian2D ring", "modes", 1.0, VEEGAN, MODES | {"model.packing": 1}),
    Published("GAN", "Gaussian2D grid", "modes", 3.3, VEEGAN, MODES | {"model.packing": 1}),
    Published("GAN", "Gaussian2D ring", "modes", 6.3, PACGAN, MODES | {"model.packing": 1}),
    Published("GAN", "Gaussian2D grid", "modes", 17.3, PACGAN, MODES | {"model.packing": 1}),
    Published("GAN", "Gaussian2D ring", "modes", 7.9, PACGAN, MODES | {"model.packing": 2}),
    Published("GAN", "Gaussian2D grid", "modes", 23.8, PACGAN, MODES | {"model.packing": 2}),
)


def facts(run: History) -> dict[str, Any]:
    """Returns the settings of a run and of its evaluation in one mapping."""
    evaluation = run.evaluation
    net = (evaluation.get("net") or {}).get("name", "none").partition("(")[0]
    sizes = {name: evaluation.get(name) for name in ("samples", "reference", "k")}
    return {**run.settings, **sizes, "net": net}


def subject(run: History) -> tuple[str, str]:
    """Returns the classes of model and data, the latter with its kind if any: ("GAN", "Gaussian2D ring")."""
    model, data = (str(run.settings[f"{group}._target_"]).rpartition(".")[2] for group in ("model", "data"))
    kind = run.settings.get("data.kind")
    return model, f"{data} {kind}" if kind else data


def check(run: History) -> list[tuple[str, ...]]:
    """Returns a row for each published figure of the run's model and data: ours, theirs, and how settings differ."""
    model, data = subject(run)
    known = facts(run)
    rows = []
    for figure in PUBLISHED:
        row = run.evaluation.get("measures", {}).get(figure.measure)
        if (figure.model, figure.data) != (model, data) or row is None:
            continue
        unlike = [
            f"{key} {known.get(key)} for {want}" for key, want in figure.setting.items() if known.get(key) != want
        ]
        verdict = "same setting" if not unlike else "other setting: " + ", ".join(unlike)
        rows.append((figure.measure, number(row["value"]), number(figure.value), verdict, figure.source))
    return rows


def main(arguments: list[str]) -> int:
    """Prints a table for each run; returns exit code 2 if there is nothing to read."""
    if not arguments:
        print(__doc__)
        return 2
    try:
        for run in find_runs(arguments):
            rows = check(run) if run.evaluation else []
            print(f"{run.run.folder}: {' on '.join(subject(run))}")
            if rows:
                print("\n".join(columns([("measure", "here", "published", "", ""), *rows], left=(0, 3, 4))))
            else:
                print("nothing published to compare with" if run.evaluation else "not evaluated; run genlab evaluate")
            print()
    except UserError as error:
        print(f"check_reference: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
