"""Takes all measures that apply to a family and a data set.

A measure that does not apply, or cannot be computed for these data, is left out with the reason; it is never reported
as zero, and the other measures are still taken.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.data.pairs import Pairs
from genlab.evaluation import abilities
from genlab.evaluation.forecasts import forecasts
from genlab.evaluation.judges import judge_of
from genlab.evaluation.report import Report
from genlab.evaluation.training import OWN_MEASURES
from genlab.metrics.attempts import attempt, attempt_all
from genlab.metrics.catalogue import MEASURES
from genlab.metrics.features import FeatureNet
from genlab.metrics.measure import Measure
from genlab.metrics.translation import label_preservation
from genlab.models.base import (
    Bounded,
    Codec,
    Density,
    Discrete,
    Family,
    Measured,
    Reconstructor,
    Sampler,
    Translator,
)
from genlab.trainer import device
from genlab.trainer.execution.sampling import executed

Parts = dict[str, Callable[[], Mapping[str, float]]]  # measures to try one by one; a failure is recorded under the key
LIKELIHOODS = ("nll", "iwae_nll", "elbo")
DISTANCES = ("sliced_w2", "w2", "translation_error", "identity_error", "cycle_error")


class Plan(NamedTuple):
    """How much to measure."""

    samples: int = 10_000  # number generated, and at most as many real ones
    split: str = "test"
    likelihood: int = 1000  # real samples for likelihoods and bounds
    k: int = 100  # importance samples of a bound
    seed: int = 0
    precision: str = "fp32"  # of the nets while samples are drawn: fp32 or bf16
    execution: str = "auto"  # of a net that is called many times per sample, see `sampling.executed`
    protocol: str | None = None  # scores taken as papers do, beside the others
    repeats: int = 10  # of the protocol
    horizon: int | None = None  # steps of series that are forecast, and imputed; None: neither
    season: int = 1  # steps after which the naive forecast repeats


def with_units(data: Dataset) -> dict[str, Measure]:
    """Returns the measures with their units on this data.

    Rows of a table and series are compared standardised, so distances are in standard deviations. Likelihoods are
    reported in the columns' own units: their NLL is higher by Σ log s than the one that training logs for standardised
    columns.
    """
    series = data.spec.layout == "sequence"
    if not (data.spec.columns or series):
        return MEASURES
    if data.spec.table or data.spec.steps:
        distance = "channel deviations" if series else "normal scores"
        units = {**dict.fromkeys(DISTANCES, distance), "reconstruction_mse": "normal scores²"}
        text = "; of the encoded rows, see genlab/data/README.md"
        return {
            name: measure._replace(text=measure.text + text * (name in LIKELIHOODS), unit=units.get(name, measure.unit))
            for name, measure in MEASURES.items()
        }
    shift = data.spec.log_scale
    units: dict[str, str] = dict.fromkeys(DISTANCES, "channel deviations" if series else "column deviations")
    if data.spec.columns:
        units["reconstruction_mse"] = "channel deviations²" if series else "column deviations²"
    texts = {
        name: f"; in the columns' own units, {sign * shift:+.4g} relative to the standardised columns of training"
        for name, sign in (("nll", 1), ("iwae_nll", 1), ("elbo", -1))
        if data.spec.columns
    }
    return {
        name: measure._replace(text=measure.text + texts.get(name, ""), unit=units.get(name, measure.unit))
        for name, measure in MEASURES.items()
    }


@contextmanager
def timed(report: Report, part: str) -> Iterator[None]:
    """Adds the time spent in the context to the report's seconds."""
    began = time.perf_counter()
    yield
    report.seconds[part] = report.seconds.get(part, 0.0) + time.perf_counter() - began


@torch.no_grad()
def evaluate(family: Family, data: Dataset, plan: Plan, net: FeatureNet | None, report: Report) -> None:
    """Fills the report. All random numbers follow from `plan.seed`, so the same family gives the same report."""
    device.seed(family.device, plan.seed)
    if isinstance(family, Measured):
        with timed(report, "samples"):
            own: Parts = {"samples": lambda: family.measures(OWN_MEASURES)}
            report.add(MEASURES, attempt_all(own, report.left_out))
        report.left_out["samples against data"] = "the model learns from an energy function, not from data"
        return
    if isinstance(family, Translator) and isinstance(data, Pairs):
        _translations(family, data, plan, net, report)
        return
    if isinstance(family, Sampler):
        with (
            timed(report, "sampling"),
            device.precision(plan.precision, family.device),
            executed(family, plan.execution),
        ):
            # The classes of the split that is compared with: other class shares would be another distribution.
            labels = data.labels(plan.split, plan.samples) if family.conditional else None
            samples = abilities.samples_in_units(family, plan.samples, labels)
        judge_samples(samples, data, plan, net, report, labels)
    else:
        report.left_out["samples"] = "the model has no prior to draw from"
    _forecasts(family, data, plan, report)
    _autoencoding(family, data, plan, report)
    _likelihood(family, data, plan, report)


def judge_samples(
    samples: Tensor, data: Dataset, plan: Plan, net: FeatureNet | None, report: Report, labels: Tensor | None = None
) -> None:
    """Adds the measures of samples (N, *shape) in data units to the report, with their floor and noise.

    Args:
        labels: (N,) the requested classes of the samples.
    """
    bad = int((~samples.isfinite().flatten(1).all(1)).sum())
    if bad:
        report.left_out["samples"] = f"{bad} of {len(samples)} samples are not finite"
        return
    with timed(report, "real"):
        judge = judge_of(data, plan.split, plan.samples, net, report.left_out)
    report.samples, report.reference = len(samples), len(judge.real)
    with timed(report, "measures"):
        values = judge(samples, labels)
        report.columns = attempt("ks by column", lambda: judge.columns(samples), report.left_out) or {}
    with timed(report, "calibration"):
        floor, noise = judge.calibration(len(samples))
    report.add(with_units(data), values, floor, noise)
    report.notes += attempt("notes", lambda: judge.notes(len(samples)), report.left_out) or []
    if plan.protocol is not None:
        with timed(report, "protocol"):
            taken = attempt(plan.protocol, lambda: judge.protocol(samples, plan.repeats), report.left_out)
        report.add(MEASURES, *(taken or ({}, {})))
    if "ks_max" in report.measures and report.columns:
        report.measures["ks_max"].text += f", that of column '{next(iter(report.columns))}'"


def _translations(family: Translator, data: Pairs, plan: Plan, net: FeatureNet | None, report: Report) -> None:
    with timed(report, "sampling"), device.precision(plan.precision, data.device):
        batch, translated, restored = abilities.translations(family, data, plan.split, plan.samples)
    judge_samples(translated, data.target(), plan, net, report)
    parts: Parts = {"cycle_error": lambda: abilities.translation_errors(data, batch, translated, restored)}
    if not data.known:
        report.left_out["translation_error"] = "no true map between the two data sets is known"
        report.left_out["label_preservation"] = "the two data sets have different classes"
    elif net is not None and "y" in batch:
        parts["label_preservation"] = lambda: {
            "label_preservation": label_preservation(net(translated).logits.argmax(1), batch["y"])
        }
    report.add(with_units(data), attempt_all(parts, report.left_out))


def _forecasts(family: Family, data: Dataset, plan: Plan, report: Report) -> None:
    if plan.horizon is None:
        return
    horizon = plan.horizon
    if not family.completes_any:
        report.left_out["forecast"] = f"a {type(family).__name__} cannot be given some of the steps"
        return
    with timed(report, "forecasts"), executed(family, plan.execution):
        taken = attempt("forecast", lambda: forecasts(family, data, plan.split, horizon, plan.season), report.left_out)
    if taken is not None:
        report.add(MEASURES, taken[0], None, taken[1])


def _autoencoding(family: Family, data: Dataset, plan: Plan, report: Report) -> None:
    parts: Parts = {}
    if isinstance(family, Reconstructor):
        parts["reconstruction_mse"] = lambda: abilities.reconstruction(family, data, plan.split, plan.samples)
    else:
        report.left_out["reconstruction_mse"] = "the model does not reconstruct"
    if isinstance(family, Codec) and isinstance(family, Sampler):
        parts["active_units"] = lambda: abilities.code(family, data, plan.split, plan.samples)
    with timed(report, "reconstruction"):
        report.add(with_units(data), attempt_all(parts, report.left_out))


def _likelihood(family: Family, data: Dataset, plan: Plan, report: Report) -> None:
    n, image = min(plan.likelihood, len(data.splits[plan.split].x)), data.spec.only("pixel")
    report.likelihood, report.k = n, plan.k
    with timed(report, "likelihood"):
        if isinstance(family, Bounded):
            bounds: Parts = {"elbo": lambda: abilities.bounds(family, data, plan.split, n, plan.k)}
            floor = attempt("entropy", lambda: abilities.entropy(data, plan.split, n), report.left_out)
            report.add(with_units(data), attempt_all(bounds, report.left_out), floor)
        parts: Parts = {}
        exact = data.spec.values == "binary" and isinstance(family, Discrete)  # papers report nats of binary pixels
        if image and not exact and isinstance(family, (Density, Discrete)):
            parts["bits_per_dim"] = lambda: abilities.bits(family, data, plan.split, n, plan.k)
        elif isinstance(family, Density):
            parts["nll"] = lambda: abilities.density(family, data, plan.split, n)
        report.add(with_units(data), attempt_all(parts, report.left_out))
    if not isinstance(family, (Bounded, Density, Discrete)):
        report.left_out["likelihood"] = "the model gives neither a likelihood nor a bound on it"
    elif "iwae_nll" in report.measures and image and data.spec.values != "binary":
        why = f"pixels are not binary (data.range={data.spec.values}); papers report nats for data.range=binary"
        report.left_out["published NLL"] = why
