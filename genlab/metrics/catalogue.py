"""Every measure by name, whichever file it comes from."""

from genlab.metrics import autoencoding, images, likelihood, points, sharpness, training, translation
from genlab.metrics.measure import Measure

# What the family that learns from an energy measures of itself.
OWN = (
    Measure("effective_sample_size", "share of samples that equally weighted ones would be worth", "max"),
    Measure("free_energy_difference", "free energy of the right well less that of the left", "", "kT"),
    Measure("free_energy_error", "distance of free_energy_difference from its reference", "min", "kT"),
)
MEASURES: dict[str, Measure] = {
    measure.name: measure
    for table in (
        images.MEASURES,
        sharpness.MEASURES,
        points.MEASURES,
        likelihood.MEASURES,
        autoencoding.MEASURES,
        translation.MEASURES,
        training.MEASURES,
        OWN,
    )
    for measure in table
}
