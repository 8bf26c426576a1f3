"""Options of `gan` that stabilise training or widen mode coverage, each as one small function or module.

    minibatch discrimination  o(x_i)_b = 1/n Σ_j exp(-|M_ib - M_jb|₁),  M_i = h(x_i) T   D sees how similar a batch is
    packing                   D(x_1, ..., x_m)                                           D judges m samples at once
    labels                    D(x, e(y))                                                 D knows the class
    feature matching          |E h(x) - E h(G(z))|²                                      replaces G's loss
    unrolling                 G minimises -L_D(θ_k), θ_k D's weights after k steps       G anticipates D's response
    replay                    about half of D's fakes come from a pool of past ones      D does not forget (PastSamples)
    instance noise            D(x + σ_t ε),  σ_t = σ (1 - t / T)                         supports overlap at first
    R1                        L_D + ½ γ E |∇D(x)|² at real x                             D is flat at the data

T. Salimans et al., "Improved Techniques for Training GANs", 2016, https://arxiv.org/abs/1606.03498 (the first and
the fourth). Z. Lin, A. Khetan, G. Fanti, S. Oh, "PacGAN: The Power of Two Samples in Generative Adversarial
Networks", 2018, https://arxiv.org/abs/1712.04086. M. Mirza, S. Osindero, "Conditional Generative Adversarial Nets",
2014, https://arxiv.org/abs/1411.1784. L. Metz, B. Poole, D. Pfau, J. Sohl-Dickstein, "Unrolled Generative Adversarial
Networks", 2017, https://arxiv.org/abs/1611.02163. A. Shrivastava et al., "Learning from Simulated and Unsupervised
Images through Adversarial Training", 2017, https://arxiv.org/abs/1612.07828 (the pool, section 2.3). C. K. Sønderby et
al., "Amortised MAP Inference for Image Super-resolution", 2017, https://arxiv.org/abs/1610.04490 (instance noise).
L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", 2018,
https://arxiv.org/abs/1801.04406 (R1).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from genlab.data.base import Spec
from genlab.errors import OptionError, UserError
from genlab.models.base import Moments, Rule, full_precision, input_gradient
from genlab.networks.choice import Encoder

EMBEDDING = 100  # length of a label's embedding, appended to z and to points
FEATURES = 128  # length of h(x) under minibatch discrimination
KERNEL = 5  # length of one row of M under minibatch discrimination


class Discriminator(nn.Module):
    """A wrapper that shows any net labels, m samples at once, or how similar the samples of a batch are.

    A label is one more channel of an image, its H x W values learned for each class, or EMBEDDING more coordinates of
    a point. The channels (coordinates) of m packed samples, labels included, are concatenated.

    Args:
        make: builds the net from (shape, outputs).
        packing: m.
        minibatch: B, the number of kernels of minibatch discrimination; 0 for none.

    Raises:
        OptionError: the samples are graphs, which have no room for labels and cannot be packed.
    """

    def __init__(
        self, make: Encoder, spec: Spec, conditional: bool = False, packing: int = 1, minibatch: int = 0
    ) -> None:
        super().__init__()
        self.conditional, self.packing, self.minibatch = conditional, packing, minibatch
        channels, *side = spec.shape
        self.label = (1, *side) if side else (EMBEDDING,)
        shape = spec.shape
        if conditional or packing > 1:
            if spec.nodes:
                name = "conditional" if conditional else "packing"
                raise OptionError(name, "a discriminator of graphs sees one graph at a time, without a class")
            shape = (packing * (channels + conditional * self.label[0]), *side)
        self.net = make(shape, (FEATURES,) if minibatch else ())
        if minibatch:
            self.closeness = MinibatchDiscrimination(FEATURES, minibatch)
            self.head = nn.Linear(FEATURES + minibatch, 1)
        if conditional:
            self.embedding = nn.Embedding(spec.classes, math.prod(self.label))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Returns logits, fp32, one for each m samples: (B, *shape), labels (B,) or None -> (B / m,)."""
        if self.minibatch:
            return self.head(self.features(x, y)).squeeze(1).float()
        return self.net(self._join(x, y)).float()

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Returns the input of the last layer: (B, *shape), labels (B,) or None -> (B / m, features).

        Raises:
            UserError: the net has no method `features`.
        """
        if not self.minibatch:
            if not hasattr(self.net, "features"):
                raise UserError(
                    "model.feature_matching: needs a discriminator whose net has features, as mlp and dcgan do"
                )
            return getattr(self.net, "features")(self._join(x, y))  # noqa: B009 (not an attribute of every Module)
        h = F.leaky_relu(self.net(self._join(x, y)), 0.2)
        return torch.cat([h, self.closeness(h).to(h)], dim=1)

    def _join(self, x: Tensor, y: Tensor | None) -> Tensor:
        if self.conditional:
            assert y is not None
            x = torch.cat([x, self.embedding(y).view(-1, *self.label).to(x)], dim=1)
        return pack(x, self.packing, self.training)


class MinibatchDiscrimination(nn.Module):
    """o(x_i)_b = 1/n Σ_j exp(-|M_ib - M_jb|₁) with M_i = h_i T (section 3.2 of Salimans et al. 2016).

    The paper has the sum instead of the mean. With the mean, o has the scale of the other features and does not depend
    on the batch size.

    In eval mode, o is its mean over the last training batches (as in BatchNorm): the score of a point must not depend
    on the other points of the same plot.

    Args:
        features: length of h.
        kernels: B, the number of similarities per sample.
    """

    mean: Tensor

    def __init__(self, features: int, kernels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, kernels * KERNEL) / math.sqrt(features))  # T
        self.register_buffer("mean", torch.zeros(kernels))

    def forward(self, h: Tensor) -> Tensor:
        """Computes o in fp32: (n, features) -> (n, B)."""
        if not self.training:
            return self.mean.expand(len(h), -1)
        with full_precision(h):
            m = (h.float() @ self.weight).view(len(h), -1, KERNEL)
            o = (-(m[:, None] - m[None]).abs().sum(3)).exp().mean(1)
        with torch.no_grad():
            self.mean.lerp_(o.mean(0), 0.1)
        return o


def pack(x: Tensor, m: int, strict: bool = True) -> Tensor:
    """Concatenates each m successive samples along the channels: (B, C, ...) -> (B / m, m C, ...).

    Raises:
        UserError: m does not divide B. If not `strict`, the first samples fill up the last pack instead.
    """
    if m == 1:
        return x
    if remainder := len(x) % m:
        if strict:
            raise UserError(f"model.packing: {m} does not divide the batch size {len(x)}")
        x = x[torch.arange(len(x) + m - remainder, device=x.device) % len(x)]
    return x.reshape(len(x) // m, m * x.shape[1], *x.shape[2:])


def feature_matching(real: Tensor, fake: Tensor) -> Tensor:
    """Computes |E h(x) - E h(G(z))|², fp32, from features (B, F) of each (section 3.1 of Salimans et al. 2016)."""
    return (real.float().mean(0) - fake.float().mean(0)).square().sum()


class Descent:
    """Plain gradient descent, θ - η ∇L(θ) (eq. 4 of Metz et al. 2017), as an update rule for `unroll`."""

    def __init__(self, rate: float) -> None:
        self.rate = rate  # η

    def start(self) -> Moments:
        return []

    def __call__(
        self, weights: Sequence[Tensor], gradients: Sequence[Tensor], moments: Moments, number: int
    ) -> tuple[list[Tensor], Moments]:
        return [w - self.rate * g for w, g in zip(weights, gradients, strict=True)], moments


def unroll(net: nn.Module, loss: Callable[[Callable[..., Tensor]], Tensor], steps: int, rule: Rule) -> Callable:
    """Returns the net after `steps` simulated optimizer steps on `loss(net)`, as a function of the same inputs.

    The result is differentiable through these steps, so the gradient with respect to whatever the loss depends on (the
    generated samples) has the second term of eq. 8 of Metz et al. 2017. The net itself does not change, nor do its
    buffers.

    Args:
        loss: the loss to descend, (), given a function that stands in for the net.
        rule: the update rule of the simulated optimizer.
    """
    weights = {name: p.detach().requires_grad_() for name, p in net.named_parameters()}
    buffers = {name: b.clone() for name, b in net.named_buffers()}

    def at(weights: dict[str, Tensor]) -> Callable[..., Tensor]:
        return lambda *inputs: functional_call(net, weights | buffers, inputs)

    moments = rule.start()
    with torch.enable_grad():  # validation looks `steps` ahead too
        for number in range(1, steps + 1):
            # In eval mode some weights are unused (those of minibatch discrimination): their gradient is 0.
            gradients = torch.autograd.grad(
                loss(at(weights)), list(weights.values()), create_graph=True, allow_unused=True, materialize_grads=True
            )
            moved, moments = rule(list(weights.values()), gradients, moments, number)
            weights = dict(zip(weights, moved, strict=True))
    return at(weights)


def instance_noise(x: Tensor, noise: Tensor, step: Tensor, sigma: float, steps: int) -> Tensor:
    """Returns x + σ_t ε, where σ_t falls linearly from `sigma` at step 0 to 0 at step `steps`."""
    return x + sigma * (1 - step / steps).clamp(min=0) * noise


def r1(judge: Callable[[Tensor], Tensor], x: Tensor, packing: int = 1) -> Tensor:
    """Computes E |∇D|² at real samples x (B, *shape), fp32: () (eq. 9 of Mescheder et al. 2018, without ½ γ).

    Args:
        packing: m; D judges B / m packs, and the gradient is taken over all m samples of a pack.
    """
    with full_precision(x):
        return packing * input_gradient(judge, x.float()).flatten(1).square().sum(1).mean()
