"""Watching what a run logs of itself for the known ways to go wrong.

    posterior collapse       q(z|x) is the prior for every x: KL(q(z|x) || p(z)) = 0 nats, z says nothing of x, and the
                             decoder draws on its own (Bowman et al. 2016, section 3.1)
    mode collapse            the generator draws a part of the data only, or one sample again and again (Goodfellow
                             2016, section 5.1.1)
    saturated discriminator  D tells every sample apart and is sure of it: its loss, and with it what the generator can
                             learn from it, has gone (Arjovsky, Bottou 2017, section 2)

A monitor sees every record that is written (losses every `log_every` steps, measures every `evaluate_every`) and heeds
those that hold its keys. It speaks once, when what is wrong has been seen often and long enough; after that the sign
must have gone and come again. Losses and weights that are not finite end a run by themselves.

S. R. Bowman et al., "Generating Sentences from a Continuous Space", 2016, https://arxiv.org/abs/1511.06349.
I. Goodfellow, "NIPS 2016 Tutorial: Generative Adversarial Networks", 2016, https://arxiv.org/abs/1701.00160.
M. Arjovsky, L. Bottou, "Towards Principled Methods for Training GANs", 2017, https://arxiv.org/abs/1701.04862.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

Record = Mapping[str, float]


class Monitor:
    """Base: one way to go wrong, told when it was seen at `patience` records in a row, over `steps` steps at least."""

    name: ClassVar[str]
    patience: ClassVar[int] = 3
    steps: ClassVar[int] = 0
    kept: ClassVar[tuple[str, ...]] = ("count", "since", "spoken")  # of its state

    def __init__(self) -> None:
        self.count = 0  # records in a row
        self.since = 0  # the step of the first of them
        self.spoken = False

    def look(self, record: Record) -> str | None:
        """What is wrong, in words; "" where all is well; None where the record does not tell."""
        raise NotImplementedError

    def __call__(self, step: int, record: Record) -> str:
        """Take in one more record. The warning at the moment it becomes certain, else ""."""
        found = self.look(record)
        if found is None:
            return ""
        if not found:
            self.count, self.spoken = 0, False
            return ""
        self.since = self.since if self.count else step
        self.count += 1
        if self.spoken or self.count < self.patience or step - self.since < self.steps:
            return ""
        self.spoken = True
        return f"{self.name}: {found} ({self.count} times in a row, since step {self.since})"

    def state_dict(self) -> dict[str, Any]:
        """All that a resume needs, as plain numbers."""
        return {key: getattr(self, key) for key in self.kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state that `state_dict` gave; what it lacks stays as it is.

        Raises:
            TypeError, ValueError: a value of another kind.
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
        return f"the validation KL is {min(values):.2g} nats, below {self.threshold}: the code says nothing of the data"


class ModeCollapse(Monitor):
    """Samples cover less than `share` of what they should. Heeded are, where they are measured:

        eval/modes, eval/classes   against how many there are, once most samples lie on a mode ("eval/high_quality");
                                   before, against the most seen: a model that has not got there yet has not collapsed
        eval/spread                the total standard deviation of samples over that of real ones, against 1
        eval/recall                against the best seen
        eval/std_ratio_min         the width of the narrowest mode over the true one, against `narrow`
        eval/mode_std              the width of all modes over the true one, against 1

    Args:
        classes: how many modes or classes there are; 0 where that is not known.
    """

    name = "mode collapse"
    steps = 1000  # an untrained generator, too, draws a small part of the data
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
        found = [
            f"{key} {value:.2g} where {wanted:.2g} {why}"
            for key, value in values.items()
            for wanted, least, why in [self.expected(key, settled)]
            if value < least
        ]
        return "the generator draws a part of the data only: " + ", ".join(found) if found else ""

    def expected(self, key: str, settled: bool) -> tuple[float, float, str]:
        """What a measure should be, the least that will do, and where that comes from."""
        if key == "std_ratio_min":
            return 1.0, self.narrow, "is right"
        if key in ("spread", "mode_std"):
            return 1.0, self.share, "is right"
        if key != "recall" and self.classes and settled:
            return self.classes, self.share * self.classes, "there are"
        best = self.best[key]
        enough = 0.1 if key == "recall" else self.share * self.classes  # below, there was hardly anything to lose
        return best, self.share * best if best >= enough else 0.0, "was reached"


class SaturatedDiscriminator(Monitor):
    """In training, the discriminator's accuracy stays at 1 while its loss stays at 0.

    Watches every phase that logs an accuracy. Accuracy alone is not enough: a discriminator that is barely right still
    gives the generator a gradient.
    """

    name = "saturated discriminator"
    patience = 5
    steps = 1000  # it is ahead of an untrained generator for a while, and no harm comes of that
    accuracy = 0.995
    loss = 0.02  # one that knows nothing has 2 log 2 = 1.39 (nats), 2 (hinge) or 0.25 (least squares)

    def look(self, record: Record) -> str | None:
        phases = [key[: -len("/accuracy")] for key in record if key.startswith("train/") and key.endswith("/accuracy")]
        if not phases:
            return None
        for phase in phases:
            accuracy, loss = record[f"{phase}/accuracy"], record[f"{phase}/loss"]
            if accuracy >= self.accuracy and loss <= self.loss:
                told = f"it is right about {100 * accuracy:.1f} % of samples, with a loss of {loss:.2g}"
                return f"{told}: the generator has next to nothing to learn from it"
        return ""


class Monitors:
    """All of them, for data of that many modes or classes."""

    def __init__(self, classes: int) -> None:
        self.all: list[Monitor] = [PosteriorCollapse(), ModeCollapse(classes), SaturatedDiscriminator()]

    def __call__(self, step: int, record: Record) -> list[str]:
        """The warnings that this record makes certain."""
        return [warning for monitor in self.all if (warning := monitor(step, record))]

    def state_dict(self) -> dict[str, Any]:
        return {monitor.name: monitor.state_dict() for monitor in self.all}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for monitor in self.all:
            monitor.load_state_dict(state.get(monitor.name, {}))
