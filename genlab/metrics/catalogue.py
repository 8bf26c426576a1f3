"""Catalogue of all measures by name."""

from genlab.metrics import autoencoding, images, likelihood, points, sharpness, training, translation
from genlab.metrics.graphs import measures as graphs
from genlab.metrics.measure import Measure
from genlab.metrics.series import measures as series
from genlab.metrics.tables import measures as tables

# Measures that a family trained on an energy function takes itself.
OWN = (
    Measure("effective_sample_size", "effective size of the weighted sample, as a share of its size", "max"),
    Measure("free_energy_difference", "free energy of the right well minus that of the left well", "", "kT"),
    Measure("free_energy_error", "distance of free_energy_difference from its reference", "min", "kT"),
)
MEASURES: dict[str, Measure] = {
    measure.name: measure
    for table in (
        images.MEASURES,
        sharpness.MEASURES,
        points.MEASURES,
        tables.MEASURES,
        series.MEASURES,
        graphs.MEASURES,
        likelihood.MEASURES,
        autoencoding.MEASURES,
        translation.MEASURES,
        training.MEASURES,
        OWN,
    )
    for measure in table
}
