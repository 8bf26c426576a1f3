"""Hand-written training loops to time genlab against. Each function returns a step: a call that trains one batch.

`tutorial_*` are loops as tutorials teach them: a DataLoader without workers, Adam without options, `zero_grad`,
`backward`, `step`, and `.item()` on the losses of every step. `bare_*` has the mathematics of the genlab preset and
everything that genlab does for speed (data in one tensor, a fused Adam, gradients only for the phase's parameters, an
averaged copy of the weights) and nothing else: its difference from genlab is genlab's own overhead.
"""

import copy
import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

Step = Callable[[], object]


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU, last: nn.Module | None = None) -> nn.Sequential:
    """Returns linear layers with activations between them."""
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        layers += [nn.Linear(inputs, outputs)] + ([activation()] if i < len(widths) - 2 else [])
    return nn.Sequential(*layers, *([last] if last else []))


def leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)


def batches(loader: DataLoader) -> Iterator[Tensor]:
    """Yields the batches of a loader forever, pass after pass."""
    while True:
        for sample, *_ in loader:
            yield sample


def points(n: int = 5000) -> Tensor:
    """Draws two Gaussian clouds in the plane: (n, 2)."""
    x = torch.randn(n, 2)
    return x + torch.where(torch.arange(n)[:, None] < n // 2, 2.0, -2.0)


def toy(batch: int = 64) -> Iterator[Tensor]:
    return batches(DataLoader(TensorDataset(points()), batch_size=batch, shuffle=True, drop_last=True))


def mnist(root: str, batch: int = 128, size: int | None = None, symmetric: bool = True) -> Iterator[Tensor]:
    """Yields batches of MNIST as tutorials read it: image by image through torchvision's transforms."""
    from torchvision import datasets, transforms

    steps = [transforms.Resize(size)] if size else []
    steps += [transforms.ToTensor()] + ([transforms.Normalize((0.5,), (0.5,))] if symmetric else [])
    data = datasets.MNIST(root, train=True, download=True, transform=transforms.Compose(steps))
    return batches(DataLoader(data, batch_size=batch, shuffle=True, drop_last=True))


def penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Computes λ E (|∇ f(x̂)| - 1)² with λ = 10 and x̂ between real and fake."""
    mix = torch.rand(len(real), 1)
    x = (mix * real + (1 - mix) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return 10 * (gradient.norm(dim=1) - 1).square().mean()


def tutorial_wgan_gp(data: Iterator[Tensor], generator: nn.Module, critic: nn.Module, z: int) -> Step:
    """Returns a step of five critic updates on one batch and one generator update."""
    of_g = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.5, 0.9))
    of_c = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.5, 0.9))

    def step() -> tuple[float, float]:
        real = next(data).flatten(1)
        for _ in range(5):
            fake = generator(torch.randn(len(real), z)).detach()
            loss_c = critic(fake).mean() - critic(real).mean() + penalty(critic, real, fake)
            of_c.zero_grad()
            loss_c.backward()
            of_c.step()
        loss_g = -critic(generator(torch.randn(len(real), z))).mean()
        of_g.zero_grad()
        loss_g.backward()
        of_g.step()
        return loss_c.item(), loss_g.item()  # pyright: ignore[reportPossiblyUnboundVariable]

    return step


def tutorial_gan(
    data: Iterator[Tensor], generator: nn.Module, discriminator: nn.Module, shape: tuple[int, ...], flat: bool = True
) -> Step:
    """Returns a step of one update each with the binary cross-entropy; z has `shape`."""
    of_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    of_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()

    def step() -> tuple[float, float]:
        real = next(data)
        real = real.flatten(1) if flat else real
        ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        fake = generator(torch.randn(len(real), *shape))
        loss_d = criterion(discriminator(real).view(-1, 1), ones)
        loss_d = loss_d + criterion(discriminator(fake.detach()).view(-1, 1), zeros)
        of_d.zero_grad()
        loss_d.backward()
        of_d.step()
        loss_g = criterion(discriminator(generator(torch.randn(len(real), *shape))).view(-1, 1), ones)
        of_g.zero_grad()
        loss_g.backward()
        of_g.step()
        return loss_d.item(), loss_g.item()

    return step


class TutorialVAE(nn.Module):
    """A VAE as in tutorials: an encoder with two heads, and a decoder."""

    def __init__(self, size: int, hidden: tuple[int, ...], z: int) -> None:
        super().__init__()
        self.encoder = mlp(size, *hidden, last=nn.ReLU())
        self.mean, self.log_variance = nn.Linear(hidden[-1], z), nn.Linear(hidden[-1], z)
        self.decoder = mlp(z, *reversed(hidden), size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.decoder(z), mean, log_variance


def tutorial_vae(data: Iterator[Tensor], model: TutorialVAE, pixels: bool) -> Step:
    """Returns a step on the ELBO: cross-entropy of pixels, or squared error of points with clipped gradients."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> float:
        x = next(data).flatten(1)
        y, mean, log_variance = model(x)
        if pixels:
            error = F.binary_cross_entropy(torch.sigmoid(y), x, reduction="sum")
        else:
            error = F.mse_loss(y, x, reduction="sum")
        loss = error - 0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        optimizer.zero_grad()
        loss.backward()
        if not pixels:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


def dcgan() -> tuple[nn.Module, nn.Module]:
    """Returns a generator and a discriminator of 64x64 gray images, with 512-256-128-64 channels."""
    up: list[nn.Module] = []
    for a, b, stride, padding in ((100, 512, 1, 0), (512, 256, 2, 1), (256, 128, 2, 1), (128, 64, 2, 1)):
        up += [nn.ConvTranspose2d(a, b, 4, stride, padding, bias=False), nn.BatchNorm2d(b), nn.ReLU(True)]
    up += [nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False), nn.Tanh()]
    down: list[nn.Module] = [nn.Conv2d(1, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for a, b in ((64, 128), (128, 256), (256, 512)):
        down += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*up), nn.Sequential(*down, nn.Conv2d(512, 1, 4, 1, 0, bias=False))


def tutorial_generator(z: int = 64, size: int = 784) -> nn.Module:
    """Returns a generator with layers of 256, 512 and 1024 units, each with LeakyReLU and then BatchNorm."""
    layers: list[nn.Module] = []
    for a, b in ((z, 256), (256, 512), (512, 1024)):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2), nn.BatchNorm1d(b)]
    return nn.Sequential(*layers, nn.Linear(1024, size), nn.Tanh())


def bare_wgan_gp(x: Tensor, batch: int = 64, decay: float = 0.999) -> Step:
    """Returns a step of the preset `gaussian2d_wgan_gp` by hand: fresh batches, fused Adam, averaged weights."""
    generator, critic = mlp(2, 128, 128, 2), mlp(2, 128, 128, 1, activation=leaky)
    twin = copy.deepcopy(nn.ModuleList([generator, critic])).requires_grad_(False)
    average: list[Tensor] = list(twin.parameters())
    live: list[Tensor] = [*generator.parameters(), *critic.parameters()]
    of_g = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.5, 0.9), fused=True)
    of_c = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.5, 0.9), fused=True)

    def update(loss: Tensor, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        parameters = list(net.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        optimizer.step()

    def step() -> None:
        for _ in range(5):
            real = x.index_select(0, torch.randint(len(x), (batch,)))
            with torch.no_grad():
                fake = generator(torch.randn(batch, 2))
            update(critic(fake).mean() - critic(real).mean() + penalty(critic, real, fake), critic, of_c)
        update(-critic(generator(torch.randn(batch, 2))).mean(), generator, of_g)
        torch._foreach_lerp_(average, live, 1 - decay)

    return step
