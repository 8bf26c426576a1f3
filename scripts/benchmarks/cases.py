"""The recipes that `benchmark.py` times: genlab's overrides for each, and the loops that train the same nets."""

from collections.abc import Callable
from typing import NamedTuple

import loops
import torch

from genlab.data.base import data_root


class Case(NamedTuple):
    """A recipe: genlab's overrides, and the loops that train the same nets on the same batches."""

    overrides: tuple[str, ...]
    batch: int
    others: dict[str, Callable[[], loops.Step]]
    modes: tuple[str, ...] = ("eager", "compile")


def root() -> str:
    return str(data_root())


UNET = ("data.size=32", "data.limit=2000", "model.net.width=64", "trainer.batch_size=32", "trainer.precision=fp32")
CASES = {
    "gaussian2d_wgan_gp": Case(
        ("experiment=gaussian2d_wgan_gp",),
        64,
        {
            "tutorial": lambda: loops.tutorial_wgan_gp(
                loops.toy(), loops.mlp(2, 128, 128, 2), loops.mlp(2, 128, 128, 1, activation=loops.leaky), 2
            ),
            "bare": lambda: loops.bare_wgan_gp(loops.points()),
        },
    ),
    "gaussian2d_gan": Case(
        ("experiment=gaussian2d_gan",),
        64,
        {
            "tutorial": lambda: loops.tutorial_gan(
                loops.toy(), loops.mlp(2, 256, 256, 2), loops.mlp(2, 256, 256, 1, activation=loops.leaky), (2,)
            )
        },
    ),
    "gaussian2d_vae": Case(
        ("experiment=gaussian2d_vae",),
        64,
        {"tutorial": lambda: loops.tutorial_vae(loops.toy(), loops.TutorialVAE(2, (128, 128), 2), pixels=False)},
    ),
    "mnist_vae": Case(
        ("experiment=mnist_vae",),
        128,
        {
            "tutorial": lambda: loops.tutorial_vae(
                loops.mnist(root(), symmetric=False), loops.TutorialVAE(784, (400,), 20), pixels=True
            )
        },
    ),
    "mnist_gan": Case(
        ("experiment=mnist_gan",),
        128,
        {
            "tutorial": lambda: loops.tutorial_gan(
                loops.mnist(root()), loops.mlp(64, 128, 784, last=torch.nn.Tanh()), loops.mlp(784, 128, 1), (64,)
            )
        },
    ),
    "mnist_wgan_gp": Case(
        ("experiment=fashionmnist_wgan_gp", "data=mnist"),
        128,
        {
            "tutorial": lambda: loops.tutorial_wgan_gp(
                loops.mnist(root()),
                loops.tutorial_generator(),
                loops.mlp(784, 512, 256, 1, activation=loops.leaky),
                64,
            )
        },
    ),
    "mnist_dcgan": Case(
        ("experiment=mnist_dcgan", "trainer.precision=bf16"),
        128,
        {"tutorial": lambda: loops.tutorial_gan(loops.mnist(root(), size=64), *loops.dcgan(), (100, 1, 1), flat=False)},
        modes=("eager",),
    ),
    # For comparison with other packages by --against: nets of the same kind and size, the same batches.
    "mnist_vae_512": Case(
        ("experiment=mnist_vae", "model.encoder.hidden=[512]", "model.decoder.hidden=[512]"), 128, {}
    ),
    "flow": Case(("experiment=gaussian2d_flow", "model.hidden=[64,64]", "data.n=100000"), 512, {}),
    "ddpm": Case(("model=ddpm", "data=mnist", "tuned=none", *UNET), 32, {}, modes=("eager",)),
}
