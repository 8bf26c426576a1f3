"""Groups curves into charts by their tags: train/PHASE/KEY, eval/KEY, lr/PHASE, time/KEY."""

import re
from collections.abc import Iterable
from typing import Any

Charts = dict[str, list[str]]  # title -> tags


def custom_scalars(tags: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """Returns the charts as a layout for TensorBoard's Custom Scalars tab (`SummaryWriter.add_custom_scalars`).

    All categories are present, even if empty, because TensorBoard adds the charts of all runs to the categories of the
    first one.
    """
    return {
        category: {title: ["Multiline", [f"{re.escape(tag)}$" for tag in group]] for title, group in charts.items()}
        for category, charts in arrange(tags).items()
    }


def arrange(tags: Iterable[str]) -> dict[str, Charts]:
    """Returns the charts for these tags, by category: losses, measures, training."""
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
    return {category: {title: group for title, group in chart.items() if group} for category, chart in charts.items()}


def related(tags: list[str]) -> Charts:
    """Groups measures into charts: names that differ only in their first or last word share one.

    For example, cycle_error and identity_error. Every other measure has its own chart, since units differ.
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
