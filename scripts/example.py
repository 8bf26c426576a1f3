"""Trains a normalizing flow on two Gaussians in seconds, in plain Python without configs. Also works in a notebook.

A `Trainer` writes nothing to disk unless it is given a `folder`, and sets no signal handlers: it runs in any thread.
"""

from functools import partial

import torch

from genlab.data.gaussian2d import Gaussian2D
from genlab.models.flow import Flow
from genlab.trainer.loop import Trainer
from genlab.trainer.options import Options

torch.manual_seed(0)  # for the weights
data = Gaussian2D("two")
family = Flow(data.spec, couplings=4, hidden=[64, 64])
optimizers = {"model": partial(torch.optim.Adam, lr=3e-3)}
trainer = Trainer(family, data, optimizers, Options(steps=200, ema=0.0), seed=0)
result = trainer.fit()
with torch.no_grad():
    points = data.decode(family.sample(1000))
    nats = -family.log_prob(data.head("test", 1000)["x"]).mean()
print(f"{result.step} steps, {result.samples_per_s:,.0f} samples/s: {nats:.2f} nats per test point")
if data.truth:
    print(f"the best that any model can reach: {data.truth.entropy():.2f} nats")
