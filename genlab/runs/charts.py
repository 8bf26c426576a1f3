"""Which curves belong in one chart; it follows from their tags: train/PHASE/KEY, eval/KEY, lr/PHASE, time/KEY."""

import re
from collections.abc import Iterable
from typing import Any

Charts = dict[str, list[str]]  # title -> tags


def custom_scalars(tags: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """The charts as a layout for TensorBoard's Custom Scalars tab (`SummaryWriter.add_custom_scalars`).

    All categories are always there, empty or not: TensorBoard adds the charts of several runs to the first run's
    categories.
    """
    return {
        category: {title: ["Multiline", [f"{re.escape(tag)}$" for tag in each]] for title, each in charts.items()}
        for category, charts in arrange(tags).items()
    }


def arrange(tags: Iterable[str]) -> dict[str, Charts]:
    """The charts for these tags, by category: losses, measures, training."""
    names = sorted(tags)
    train = [tag.split("/") for tag in names if re.fullmatch(r"train/[^/]+/[^/]+", tag)]
    held_out = {tag for tag in names if tag.startswith("eval/")}
    losses: Charts = {}
    if len([1 for _, _, key in train if key == "loss"]) > 1:  # discriminator and generator
        losses["losses of all phases"] = [f"train/{phase}/loss" for _, phase, key in train if key == "loss"]
    for phase in dict.fromkeys(phase for _, phase, _ in train):  # Wasserstein estimate and penalty; the ELBO's terms
        terms = [f"train/{phase}/{key}" for _, p, key in train if p == phase and key != "grad_norm"]
        losses[f"terms of the {phase} loss"] = terms if len(terms) > 1 else []
    seen = set()
    for _, phase, key in train:
        twin = {f"eval/{key}", f"eval/{phase}/{key}"} & held_out
        seen |= twin
        if twin:
            losses[f"{phase} {key}: training and validation"] = [f"train/{phase}/{key}", *sorted(twin)]
    training: Charts = {}
    training["learning rates"] = [tag for tag in names if tag.startswith("lr/")]
    training["gradient norms"] = [tag for tag in names if re.match(r"gradient_norm/|train/[^/]+/grad_norm$", tag)]
    for tag in names:
        if tag.startswith("time/"):
            training[tag.removeprefix("time/").replace("_", " ")] = [tag]
    charts = {"losses": losses, "measures": related(sorted(held_out - seen)), "training": training}
    return {category: {title: each for title, each in chart.items() if each} for category, chart in charts.items()}


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
