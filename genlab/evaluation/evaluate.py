"""All measures that fit a family and a data set. What does not fit is left out with a reason, never as a zero."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.data.pairs import Pairs
from genlab.evaluation import abilities
from genlab.evaluation.judge import Judge
from genlab.evaluation.report import Report
from genlab.evaluation.training import OWN_MEASURES
from genlab.metrics.catalogue import MEASURES
from genlab.metrics.features import FeatureNet
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
from genlab.pictures import classes_in_turn
from genlab.trainer import device
from genlab.trainer.calls import executed


class Plan(NamedTuple):
    """How much to measure."""

    samples: int = 10_000  # generated, and at most as many real ones
    split: str = "test"
    likelihood: int = 1000  # real samples for likelihoods and bounds
    k: int = 100  # importance samples of a bound
    seed: int = 0
    precision: str = "fp32"  # of the nets while samples are drawn: fp32, bf16
    execution: str = "auto"  # of a net that each sample calls many times: see `calls.executed`


@contextmanager
def timed(report: Report, part: str) -> Iterator[None]:
    """Add the time spent inside to the report's seconds."""
    began = time.perf_counter()
    yield
    report.seconds[part] = report.seconds.get(part, 0.0) + time.perf_counter() - began


@torch.no_grad()
def evaluate(family: Family, data: Dataset, plan: Plan, net: FeatureNet | None, report: Report) -> None:
    """Fill the report. Everything is drawn by `plan.seed`: the same family gives the same report."""
    device.seed(family.device, plan.seed)
    if isinstance(family, Measured):
        with timed(report, "samples"):
            report.add(MEASURES, family.measures(OWN_MEASURES))
        report.left_out["samples against data"] = "the model learns from an energy, not from data"
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
            labels = classes_in_turn(family, plan.samples)
            drawn = data.decode(abilities.samples(family, plan.samples, labels))
        judge_samples(drawn, data, plan, net, report, labels)
    else:
        report.left_out["samples"] = "the model has no prior to draw from"
    _autoencoding(family, data, plan, report)
    _likelihood(family, data, plan, report)


def judge_samples(
    samples: Tensor, data: Dataset, plan: Plan, net: FeatureNet | None, report: Report, labels: Tensor | None = None
) -> None:
    """The measures of samples (N, *shape) in data units, with floor and noise beside them.

    Args:
        labels: (N,) the classes that the samples were asked to be of.
    """
    bad = int((~samples.isfinite().flatten(1).all(1)).sum())
    if bad:
        report.left_out["samples"] = f"{bad} of {len(samples)} are not finite"
        return
    with timed(report, "real"):
        judge = Judge(data, plan.split, plan.samples, net)
    report.samples, report.reference = len(samples), len(judge.real)
    with timed(report, "measures"):
        values = judge(samples, labels)
    with timed(report, "calibration"):
        floor, noise = judge.calibration(len(samples))
    report.add(MEASURES, values, floor, noise)


def _translations(family: Translator, data: Pairs, plan: Plan, net: FeatureNet | None, report: Report) -> None:
    with timed(report, "sampling"), device.precision(plan.precision, data.device):
        values, there, labels = abilities.translations(family, data, plan.split, plan.samples)
    judge_samples(there, data.target(), plan, net, report)
    if not data.known:
        report.left_out["translation_error"] = "no true map between the two data sets is known"
        report.left_out["label_preservation"] = "the two data sets have different classes"
    elif net is not None and labels is not None:
        values["label_preservation"] = label_preservation(net(there).logits.argmax(1), labels)
    report.add(MEASURES, values)


def _autoencoding(family: Family, data: Dataset, plan: Plan, report: Report) -> None:
    with timed(report, "reconstruction"):
        if isinstance(family, Reconstructor):
            report.add(MEASURES, abilities.reconstruction(family, data, plan.split, plan.samples))
        else:
            report.left_out["reconstruction_mse"] = "the model does not reconstruct"
        if isinstance(family, Codec) and isinstance(family, Sampler):
            report.add(MEASURES, abilities.code(family, data, plan.split, plan.samples))


def _likelihood(family: Family, data: Dataset, plan: Plan, report: Report) -> None:
    n, image = min(plan.likelihood, len(data.splits[plan.split].x)), data.spec.is_image
    report.likelihood, report.k = n, plan.k
    with timed(report, "likelihood"):
        if isinstance(family, Bounded):
            floor = abilities.entropy(data, plan.split, n)
            report.add(MEASURES, abilities.bounds(family, data, plan.split, n, plan.k), floor)
        if image and isinstance(family, (Density, Discrete)):
            report.add(MEASURES, abilities.bits(family, data, plan.split, n, plan.k))
        elif isinstance(family, Density):
            report.add(MEASURES, abilities.density(family, data, plan.split, n))
    if not isinstance(family, (Bounded, Density, Discrete)):
        report.left_out["likelihood"] = "the model has none, and no bound of one"
    elif "iwae_nll" in report.measures and image and data.spec.range != "binary":
        why = f"pixels are gray (data.range={data.spec.range}); nats of papers are of data.range=binary"
        report.left_out["published NLL"] = why
