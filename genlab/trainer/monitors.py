"""Watching what a run measures of itself for a known way to go wrong: posterior collapse.

A latent-variable model has collapsed when q(z|x) is the prior for every x: KL(q(z|x) || p(z)) = 0 nats, z says nothing
of x, and the decoder draws on its own. (S. R. Bowman et al., "Generating Sentences from a Continuous Space", 2016,
https://arxiv.org/abs/1511.06349, section 3.1.) It comes early in training and rarely goes away by itself.
"""

THRESHOLD = 0.1  # nats, summed over all dimensions of z
PATIENCE = 3  # evaluations in a row


class CollapseMonitor:
    """Tells that the validation KL, logged as "eval/kl" or "eval/<phase>/kl", has stayed near 0.

    `count`, the evaluations in a row at which it was, is all of its state.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, measures: dict[str, float]) -> str:
        """Take in one more evaluation. What is wrong, in words, at the moment it becomes certain; else ""."""
        values = [value for key, value in measures.items() if key.startswith("eval/") and key.endswith("/kl")]
        self.count = self.count + 1 if values and min(values) < THRESHOLD else 0
        if self.count != PATIENCE:
            return ""
        return (
            f"posterior collapse: the validation KL is {min(values):.2g} nats, and was below {THRESHOLD} at {PATIENCE} "
            f"evaluations in a row: the code says nothing of the data"
        )
