"""What families measure of themselves that do not learn from data (`Measured` in models/base.py)."""

from genlab.metrics.measure import Measure

MEASURES = (
    Measure("effective_sample_size", "effective sample size of the importance weights, as a share", "max"),
    Measure("free_energy_difference", "free energy of the right well less that of the left", "", "kT"),
    Measure("free_energy_error", "how far that is from quadrature", "min", "kT"),
)
