"""Chooses the judge of samples by the layout of the data: a quick one during training, a full one for a report."""

from genlab.data.base import Dataset
from genlab.data.spec import Layout
from genlab.evaluation.judges.base import Judge
from genlab.evaluation.judges.graphs import GraphJudge
from genlab.evaluation.judges.images import ImageJudge
from genlab.evaluation.judges.points import PointJudge
from genlab.evaluation.judges.series import SeriesJudge
from genlab.evaluation.judges.tables import TableJudge
from genlab.metrics.attempts import Reasons
from genlab.metrics.features import FeatureNet

JUDGES: dict[Layout, type[Judge]] = {
    "vector": PointJudge,
    "sequence": SeriesJudge,
    "image": ImageJudge,
    "graph": GraphJudge,
}


def judge_of(data: Dataset, split: str, n: int, net: FeatureNet | None = None, reasons: Reasons | None = None) -> Judge:
    """Returns the full judge, which compares samples with the first `n` real ones of a split; see `Judge`."""
    return _kind(data)(data, split, n, net, reasons)


def quick_judge_of(data: Dataset, net: FeatureNet | None = None, reasons: Reasons | None = None) -> Judge:
    """Returns the quick judge for training, which compares samples with validation samples; see `Judge`."""
    kind = _kind(data)
    return kind(data, "validation", kind.quick_samples, net, reasons, quick=True)


def _kind(data: Dataset) -> type[Judge]:
    return TableJudge if data.spec.table else JUDGES[data.spec.layout]
