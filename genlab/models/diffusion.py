"""What diffusion models and flow matching share: time-dependent nets, the scaling of data, classes and guidance.

A sample x is mixed with noise ε ~ N(0, I), and a net f sees the mixture:

    x_t = α x + σ ε,    α² + σ² = 1                 α falls from 1 to about 0 as t goes from 0 to 1
    epsilon   f = ε     x = (x_t - σ f) / α         J. Ho, A. Jain, P. Abbeel, "Denoising Diffusion Probabilistic
                                                    Models", 2020, https://arxiv.org/abs/2006.11239, eq. 14
    x0        f = x     ε = (x_t - α f) / σ
    v         f = α ε - σ x                         T. Salimans, J. Ho, "Progressive Distillation for Fast Sampling
              x = α x_t - σ f,  ε = σ x_t + α f     of Diffusion Models", 2022, https://arxiv.org/abs/2202.00512

Guidance of strength w uses f̃ = f(x_t) + w (f(x_t, y) - f(x_t)): w = 0 ignores the class, w = 1 is the class-conditional
model, w > 1 exaggerates the class. (J. Ho, T. Salimans, "Classifier-Free Diffusion Guidance", 2022,
https://arxiv.org/abs/2207.12598; the w of their eq. 6 is ours minus 1.) One net serves as both f(x_t) and f(x_t, y): in
training a label is replaced by "no class" with a small probability.

Points and codes can have any scale, while the noise has variance 1. So x is divided by its root mean square, averaged
over the first steps of training; images keep their range.

Where α is nearly 0, x = (x_t - σ f) / α amplifies a small error in f = ε: at the noisy end of the cosine schedule,
where σ/α is 20,000, an error of 0.003 becomes one of 60. So samplers clip x to the range of the data: images to
[-1, 1], and each coordinate of points and codes to its range over the training samples, extended by a tenth on either
side. Likelihoods clip only images.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import choose, inside, within
from genlab.models.base import Family, LossOutput, Phase
from genlab.models.labels import ClassPrior, check_classes
from genlab.models.samplers import Level, inpaint, second_order
from genlab.networks.denoisers import Denoiser, denoiser

Clean = Callable[[Tensor, int], Tensor]  # x_t and the index of its level -> x̂_0
PREDICTIONS = ("epsilon", "x0", "v")
SCALE_STEPS = 1000  # steps over which the data's mean square is averaged; after that it is fixed
ROUNDS = 10  # of each step when a part of a sample is known; see `samplers.inpaint`
MARGIN = 0.1  # share of the training range by which samples may exceed it on either side


def mixture(x: Tensor, noise: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
    """Returns x_t = α x + σ ε, a draw from q(x_t|x)."""
    return alpha * x + sigma * noise


def target(kind: str, x: Tensor, noise: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
    """Returns what the net should predict at x_t = α x + σ ε."""
    if kind == "epsilon":
        return noise
    return x if kind == "x0" else alpha * noise - sigma * x


def separate(kind: str, x_t: Tensor, f: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
    """Converts the net's output f at x_t to the clean sample and the noise (x, ε)."""
    if kind == "epsilon":
        return (x_t - sigma * f) / alpha, f
    if kind == "x0":
        return f, (x_t - alpha * f) / sigma
    return alpha * x_t - sigma * f, sigma * x_t + alpha * f


def column(values: Tensor, like: Tensor) -> Tensor:
    """Reshapes (B,) to (B, 1, ...) with as many dimensions as `like`."""
    return values.view(-1, *[1] * (like.dim() - 1))


class DenoisingModel(Family):
    """Base class of all families whose net is a denoiser f(x_t, t, y).

    Args:
        conditional: whether the net sees the labels.
        drop_label: probability of hiding a label in training.
        guidance: w, the strength of guidance in `sample`.
        net: builds the net from (shape, classes).

    Raises:
        UserError: `conditional` is set, but the data has no labels; or an option is out of its range.
    """

    mean_square: Tensor
    takes_given = True
    completes_any = True
    inpaints = True

    def __init__(
        self,
        spec: Spec,
        conditional: bool = False,
        drop_label: float = 0.1,
        guidance: float = 1.0,
        net: Denoiser = denoiser,
    ) -> None:
        super().__init__(spec)
        if conditional:
            check_classes(spec)
        within("drop_label", drop_label, 0, 1)
        self.conditional, self.drop_label, self.guidance = conditional, drop_label, guidance
        with inside("net"):
            self.net = net(spec.shape, spec.classes if conditional else 0)
        self.class_prior = ClassPrior(spec) if conditional else None
        self.register_buffer("mean_square", torch.ones(()))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", (self.net,), self.loss),)

    def loss(self, batch: Batch) -> LossOutput:
        raise NotImplementedError

    @property
    def scale(self) -> Tensor:
        """The length in the data's space of one unit of the net's: (), or (C, 1, ...) if fields differ."""
        return self.head.scale(self.mean_square.sqrt())

    @property
    def log_scale(self) -> Tensor:
        """The sum of log `scale` over a sample, (): log p in the data's space is log p in the net's, minus this."""
        return self.head.size * self.mean_square.sqrt().log()

    def measure(self, batch: Batch) -> Tensor:
        """Returns x / scale, after updating the scale if in training; pixels and categories stay as they are."""
        x = batch["x"]
        if self.given and self.training:
            self.given.remember(x)
        reals = self.head.reals(x)
        if self.training and reals is not None:
            with torch.no_grad():
                step = batch["step"].float()
                rate = torch.where(step < SCALE_STEPS, 1 / (1 + step), 0.0)  # the mean of all steps so far
                self.mean_square.lerp_(reals.float().square().mean(), rate)
        return x / self.scale

    def restore(self, x: Tensor) -> Tensor:
        """Maps from the net's space back to the data's, clips pixels and rounds categories to one-hot."""
        return self.head.project(x * self.scale)

    def keep_given(self, x_t: Tensor, x: Tensor) -> Tensor:
        """Returns x_t with the given channels, if any, as they are in x, without noise: 2 x (B, *shape)."""
        return x_t if self.given is None else self.present(torch.where(self.given.mask, x, x_t))

    def ladder(self, y: Tensor | None) -> tuple[list[Level], Clean]:
        """Returns the levels of a second-order sampler, and a function for x̂_0 at each of them."""
        raise NotImplementedError

    def draw_given(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draws n samples, without noise on the given channels, which are those of training rows: (n, *shape)."""
        assert self.given is not None
        given = self.given.draw(n)
        x = self.given.join(given.new_zeros(n, len(self.given.learnt)), given)
        return self.complete(x, self.given.mask.expand_as(x), self.labels(n, y))

    @torch.no_grad()
    def complete(self, x: Tensor, known: Tensor, y: Tensor | None = None) -> Tensor:
        """Draws what is unknown of samples, given the rest: (B, *shape), (B, *shape) bool -> (B, *shape).

        Given columns, which the net has learnt to see without noise, cost no more than sampling; everything else that
        is known takes `ROUNDS` times as long. A conditional model is told the classes y (B,), if there are any.
        """
        data, known = x / self.scale, known.expand_as(x)
        levels, clean = self.ladder(y)

        def denoise(x_t: Tensor, i: int) -> Tensor:
            return self.keep_given(clean(self.keep_given(x_t, data), i), data)

        smooth, noise = self.head.smooth_channels, self.noise(len(x))
        if self.completes_by_given(known):
            made = second_order("dpmpp", denoise, noise, levels, 1.0, smooth)
        else:
            made = inpaint(denoise, noise, data, known, levels, ROUNDS, smooth)
        return torch.where(known, x, self.present(self.keep_given(self.restore(made), x)))

    def check_learnt(self) -> None:
        """Checks that no channels are given; of those that are, there is no density.

        Raises:
            ValueError: some are.
        """
        if self.given:
            what = "which nodes or steps are there" if self.spec.table is None else "columns (data.condition)"
            raise ValueError(f"a denoiser that is given {what} has no density of whole samples")

    def completes_by_given(self, known: Tensor) -> bool:
        """Returns whether exactly the given channels are known."""
        return self.given is not None and bool((known == self.given.mask).all())

    def noise(self, n: int) -> Tensor:
        """Draws n samples of ε ~ N(0, I): (n, *shape)."""
        return torch.randn(n, *self.spec.shape, device=self.device, dtype=self.mean_square.dtype)

    def labels(self, n: int, y: Tensor | None) -> Tensor | None:
        """Returns the classes to sample: y, else draws as in the training data; None if the net sees no labels."""
        return self.draw_labels(n) if y is None or not self.conditional else y

    def hide(self, y: Tensor) -> Tensor:
        """Replaces labels by "no class" with probability `drop_label`: (B,) -> (B,)."""
        return torch.where(torch.rand_like(y, dtype=torch.float) < self.drop_label, self.spec.classes, y)

    def answer(self, batch: Batch, x_t: Tensor, t: Tensor) -> Tensor:
        """Returns the net's output in training, with some labels hidden, in the precision of x_t (fp32 under bf16)."""
        return self.net(x_t, t, self.hide(batch["y"]) if self.conditional else None).to(x_t.dtype)

    def guided(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Returns f̃(x_t, t, y), or f(x_t, t) without a class: (B, *shape), (B,) -> (B, *shape)."""
        if not self.conditional:
            return self.net(x_t, t, None).to(x_t.dtype)
        no_class = torch.full((len(x_t),), self.spec.classes, device=x_t.device)
        if y is None or self.guidance == 0:
            return self.net(x_t, t, no_class).to(x_t.dtype)
        if self.guidance == 1:
            return self.net(x_t, t, y).to(x_t.dtype)
        both = self.net(torch.cat([x_t, x_t]), torch.cat([t, t]), torch.cat([y, no_class]))
        with_class, without = both.to(x_t.dtype).chunk(2)
        return without + self.guidance * (with_class - without)


class Diffusion(DenoisingModel):
    """Base class of the families whose net predicts ε, x or v at x_t = α x + σ ε.

    Args:
        prediction: what the net predicts: epsilon, x0 or v.
    """

    lowest: Tensor
    highest: Tensor

    def __init__(
        self,
        spec: Spec,
        prediction: str = "epsilon",
        conditional: bool = False,
        drop_label: float = 0.1,
        guidance: float = 1.0,
        net: Denoiser = denoiser,
    ) -> None:
        super().__init__(spec, conditional, drop_label, guidance, net)
        choose("prediction", prediction, PREDICTIONS)
        self.prediction = prediction
        self.bounded = not spec.only("pixel")  # whether to track the range of the training data
        if self.bounded:  # the range of each coordinate in training; lowest > highest at first clips nothing
            self.register_buffer("lowest", torch.full(spec.shape, torch.inf))
            self.register_buffer("highest", torch.full(spec.shape, -torch.inf))

    def measure(self, batch: Batch) -> Tensor:
        """Returns x / scale, after updating the scale and the range of the data if in training."""
        if self.training and self.bounded:
            with torch.no_grad():
                x = batch["x"].to(self.lowest)
                self.lowest.copy_(torch.minimum(self.lowest, -self.most(-x)))
                self.highest.copy_(torch.maximum(self.highest, self.most(x)))
        return super().measure(batch)

    def most(self, x: Tensor) -> Tensor:
        """Returns the largest value of each coordinate, of all nodes and pairs alike: (B, *shape) -> (*shape)."""
        most = x.amax(0)
        if not self.spec.nodes:
            return most
        return self.spec.each(lambda group, part: part.amax(-1, keepdim=True).expand_as(part), most[None])[0]

    def clip(self, x: Tensor) -> Tensor:
        """Clips clean samples (B, *shape) in the net's space to the range of the training samples; see above."""
        if not self.bounded:
            return x.clamp(-1, 1) if self.head.centred else x
        margin = MARGIN * (self.highest - self.lowest)
        clipped = x.clamp((self.lowest - margin) / self.scale, (self.highest + margin) / self.scale)
        return torch.where(self.lowest <= self.highest, clipped, x)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: object) -> None:
        # Older checkpoints lack the range. The few batches to come would give too narrow a range, so clip nothing.
        for name, limit in (("lowest", -torch.inf), ("highest", torch.inf)) if self.bounded else ():
            state_dict.setdefault(f"{prefix}{name}", torch.full_like(getattr(self, name), limit))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def simple_loss(self, batch: Batch, x: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor) -> LossOutput:
        """Computes E |target - f(x_t, t)|², averaged over dimensions too: L_simple (eq. 14 of Ho et al.) for epsilon.

        Args:
            x: (B, *shape) in the net's space.
            t, alpha, sigma: (B,) times in [0, 1] with their α and σ.
        """
        noise = torch.randn_like(x)
        alpha, sigma = column(alpha, x), column(sigma, x)
        f = self.answer(batch, self.keep_given(mixture(x, noise, alpha, sigma), x), t)
        error = self.mean_error((target(self.prediction, x, noise, alpha, sigma) - f).square(), x)
        late = (t > 0.5).float()
        logs = {
            "error_early": (error * (1 - late)).sum() / (1 - late).sum().clamp(min=1),  # more sample than noise
            "error_late": (error * late).sum() / late.sum().clamp(min=1),
        }
        return LossOutput(error.mean(), logs)

    def denoise(
        self,
        x_t: Tensor,
        t: Tensor,
        alpha: Tensor | float,
        sigma: Tensor | float,
        y: Tensor | None = None,
        sampling: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Returns the clean sample and the noise that the net predicts from x_t; images in [-1, 1] are clipped to that.

        Args:
            t: (B,) times in [0, 1]; alpha and sigma broadcast against x_t (B, *shape).
            sampling: also clip points and codes, to the range of the training samples.
        """
        x, noise = separate(self.prediction, x_t, self.guided(x_t, t, y), alpha, sigma)
        if self.bounded and sampling:
            clipped = self.clip(x)
            return clipped, torch.where(clipped == x, noise, (x_t - alpha * clipped) / sigma)
        if self.head.centred:
            x = self.clip(x)
            noise = (x_t - alpha * x) / sigma
        return x, noise
