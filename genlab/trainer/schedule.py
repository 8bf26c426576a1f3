"""Learning-rate schedules: a factor on each optimizer's own rate, as a pure function of the step."""

import math

from genlab.trainer.options import Options


def factor(options: Options, step: int, steps: int) -> float:
    """Returns the factor at training step number `step` (from 0) of `steps`.

    It grows linearly over `warmup` steps; then it stays at 1 (constant), or falls to `decay_to` at `decay_steps` along
    a line or half a cosine (I. Loshchilov, F. Hutter, "SGDR", 2017, https://arxiv.org/abs/1608.03983, eq. 5).

    If `decay_steps` is set, the factor does not depend on `steps`: a run resumed with more `steps` continues as if it
    had been started with them.
    """
    if step < options.warmup:
        return (step + 1) / options.warmup
    if options.schedule == "constant":
        return 1.0
    end = max(options.decay_steps or steps, options.warmup + 1)
    progress = min(1.0, (step - options.warmup) / (end - options.warmup))
    falling = 1.0 - progress if options.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    return options.decay_to + (1.0 - options.decay_to) * falling
