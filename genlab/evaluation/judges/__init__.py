"""Who judges samples, by the layout of the data: quickly while a run trains, and in full for a report."""

from genlab.data.base import Dataset
from genlab.data.spec import Layout
from genlab.evaluation.judges.base import Judge
from genlab.evaluation.judges.images import ImageJudge
from genlab.evaluation.judges.points import PointJudge
from genlab.metrics.attempts import Reasons
from genlab.metrics.features import FeatureNet

JUDGES: dict[Layout, type[Judge]] = {"vector": PointJudge, "image": ImageJudge}


def judge_of(data: Dataset, split: str, n: int, net: FeatureNet | None = None, reasons: Reasons | None = None) -> Judge:
    """The judge of samples of this data in full, against the first `n` real ones of a split; see `Judge`."""
    return JUDGES[data.spec.layout](data, split, n, net, reasons)


def quick_judge_of(data: Dataset, net: FeatureNet | None = None, reasons: Reasons | None = None) -> Judge:
    """The judge of a run that trains, against the first validation samples; see `Judge`."""
    kind = JUDGES[data.spec.layout]
    return kind(data, "validation", kind.quick_samples, net, reasons, quick=True)
