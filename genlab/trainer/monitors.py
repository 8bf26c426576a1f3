"""Monitors that watch a run's logs for known failure modes.

    posterior collapse       q(z|x) equals the prior for every x: KL(q(z|x) || p(z)) = 0 nats, z carries no information
                             about x, and the decoder ignores it (Bowman et al. 2016, section 3.1)
    mode collapse            the generator covers only part of the data, or draws the same sample over and over
                             (Goodfellow 2016, section 5.1.1)
    saturated discriminator  D classifies every sample correctly and with confidence: its loss vanishes, and with it
                             the generator's gradient (Arjovsky, Bottou 2017, section 2)

A monitor is given every record that is written (losses every `log_every` steps, measures every `evaluate_every`) and
reads those that contain its keys. It warns once, when a problem has been seen often and long enough; it warns again
only if the problem disappears and comes back. Losses and weights that are not finite end a run anyway.

S. R. Bowman et al., "Generating Sentences from a Continuous Space", 2016, https://arxiv.org/abs/1511.06349.
I. Goodfellow, "NIPS 2016 Tutorial: Generative Adversarial Networks", 2016, https://arxiv.org/abs/1701.00160.
M. Arjovsky, L. Bottou, "Towards Principled Methods for Training GANs", 2017, https://arxiv.org/abs/1701.04862.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

Record = Mapping[str, float]


class Monitor:
    """Base class: warns of one failure mode seen in `patience` records in a row, spanning at least `steps` steps."""

    name: ClassVar[str]
    patience: ClassVar[int] = 3
    steps: ClassVar[int] = 0
    kept: ClassVar[tuple[str, ...]] = ("count", "since", "spoken")  # attributes in the state

    def __init__(self) -> None:
        self.count = 0  # records in a row that show the problem
        self.since = 0  # the step of the first of them
        self.spoken = False

    def look(self, record: Record) -> str | None:
        """Returns a description of the problem, "" if there is none, None if the record does not contain the keys."""
        raise NotImplementedError

    def __call__(self, step: int, record: Record) -> str:
        """Process a record; returns the warning when the criteria are first met, else ""."""
        problem = self.look(record)
        if problem is None:
            return ""
        if not problem:
            self.count, self.spoken = 0, False
            return ""
        self.since = self.since if self.count else step
        self.count += 1
        if self.spoken or self.count < self.patience or step - self.since < self.steps:
            return ""
        self.spoken = True
        return f"{self.name}: {problem} ({self.count} times in a row, since step {self.since})"

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that a resume needs, as plain numbers."""
        return {key: getattr(self, key) for key in self.kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by `state_dict`; attributes missing from it keep their values.

        Raises:
            TypeError, ValueError: a value of the wrong type.
        """
        for key in self.kept:
            before = getattr(self, key)
            setattr(self, key, type(before)(state.get(key, before)))


class PosteriorCollapse(Monitor):
    """The validation KL, logged as "eval/kl" or "eval/<phase>/kl", stays near 0."""

    name = "posterior collapse"
    threshold = 0.1  # nats, summed over all dimensions of z

    def look(self, record: Record) -> str | None:
        values = [v for k, v in record.items() if k.startswith("eval/") and k.endswith("/kl") and math.isfinite(v)]
        if not values:
            return None
        if min(values) >= self.threshold:
            return ""
        return f"the validation KL is {min(values):.2g} nats, below {self.threshold}: z carries no information about x"


class ModeCollapse(Monitor):
    """Samples cover less than `share` of what they should. Watches these measures, where they are logged:

        eval/modes, eval/classes   against the number there are, once most samples lie on a mode ("eval/high_quality");
                                   before that, against the highest so far, since a model that has yet to reach the
                                   modes has not collapsed
        eval/spread                total standard deviation of samples over that of real ones, against 1
        eval/recall                against the best so far
        eval/std_ratio_min         width of the narrowest mode over its true width, against `narrow`
        eval/mode_std              width of all modes over their true width, against 1

    Args:
        classes: the number of modes or classes; 0 if unknown.
    """

    name = "mode collapse"
    steps = 1000  # an untrained generator also covers only a small part of the data
    kept = (*Monitor.kept, "best")
    keys = ("modes", "classes", "spread", "recall", "std_ratio_min", "mode_std")
    share = 0.5
    narrow = 0.1

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        self.best: dict[str, float] = {}

    def look(self, record: Record) -> str | None:
        values = {key: record[f"eval/{key}"] for key in self.keys if math.isfinite(record.get(f"eval/{key}", math.nan))}
        if not values:
            return None
        self.best = self.best | {key: max(value, self.best.get(key, value)) for key, value in values.items()}
        settled = record.get("eval/high_quality", 1.0) >= 0.5
        problems = [
            f"{key} {value:.2g} ({why} {wanted:.2g})"
            for key, value in values.items()
            for wanted, least, why in [self.expected(key, settled)]
            if value < least
        ]
        return "the generator covers only part of the data: " + ", ".join(problems) if problems else ""

    def expected(self, key: str, settled: bool) -> tuple[float, float, str]:
        """Returns the expected value of a measure, the lowest acceptable one, and the words before the expected one."""
        if key == "std_ratio_min":
            return 1.0, self.narrow, "ideally"
        if key in ("spread", "mode_std"):
            return 1.0, self.share, "ideally"
        if key != "recall" and self.classes and settled:
            return self.classes, self.share * self.classes, "out of"
        best = self.best[key]
        enough = 0.1 if key == "recall" else self.share * self.classes  # below this, there was hardly anything to lose
        return best, self.share * best if best >= enough else 0.0, "down from"


class SaturatedDiscriminator(Monitor):
    """The discriminator's training accuracy stays near 1 while its loss stays near 0.

    Watches every phase that logs `accuracy`. Accuracy alone is not enough: a discriminator that is right by a small
    margin still gives the generator a gradient.
    """

    name = "saturated discriminator"
    patience = 5
    steps = 1000  # early on it is ahead of an untrained generator, which does no harm
    accuracy = 0.995
    loss = 0.02  # guessing costs 2 log 2 = 1.39 (nats), 2 (hinge) or 0.25 (least squares)

    def look(self, record: Record) -> str | None:
        phases = [key[: -len("/accuracy")] for key in record if key.startswith("train/") and key.endswith("/accuracy")]
        if not phases:
            return None
        for phase in phases:
            accuracy, loss = record[f"{phase}/accuracy"], record[f"{phase}/loss"]
            if accuracy >= self.accuracy and loss <= self.loss:
                evidence = f"it classifies {100 * accuracy:.1f} % of samples correctly, with a loss of {loss:.2g}"
                return f"{evidence}: the generator gets almost no gradient from it"
        return ""


class Monitors:
    """All monitors, for data with `classes` modes or classes."""

    def __init__(self, classes: int) -> None:
        self.all: list[Monitor] = [PosteriorCollapse(), ModeCollapse(classes), SaturatedDiscriminator()]

    def __call__(self, step: int, record: Record) -> list[str]:
        """Returns the warnings that this record triggers."""
        return [warning for monitor in self.all if (warning := monitor(step, record))]

    def state_dict(self) -> dict[str, Any]:
        return {monitor.name: monitor.state_dict() for monitor in self.all}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for monitor in self.all:
            monitor.load_state_dict(state.get(monitor.name, {}))
