"""The tables of the README's results: the runs of each table, the measures shown, and the text above it.

Each row is a pair of commands: `genlab train WORDS`, then `genlab evaluate run=RUN WORDS`. A row without words for
training shows the run of another row, evaluated again if the row has words for its evaluation.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """A run and its evaluation, or one more evaluation of a run."""

    name: str  # name of its folder and in the record
    label: str
    train: str = ""  # words after `genlab train`
    evaluate: str = ""  # words after `genlab evaluate run=RUN`
    of: str = ""  # row whose run this is and, without words in `evaluate`, whose evaluation


class Table(NamedTuple):
    name: str
    title: str
    text: str
    columns: tuple[str, ...]  # measures; A|B is the first that a run has; "seconds" is the time for sampling
    rows: tuple[Row, ...]


IMAGES = {  # model -> words of its evaluation: bounds of diffusion models converge slowly and are expensive
    "gan": "",
    "wgan": "",
    "wgan_gp": "",
    "vae": "",
    "vae_gan": "",
    "flow": "k=1",
    "ddpm": "k=10 likelihood=500 precision=bf16",
    "flow_matching": "likelihood=100 precision=bf16",
    "score": "likelihood=100 precision=bf16",
    "latent_diffusion": "",
}
MEASURED = "samples=2500 likelihood=5000"  # 2500 as in the papers that count modes
TWO = ("two", "two_narrow")
SHORT = "model=gan data.kind=grid trainer.steps=4000 trainer.decay_steps=4000"
CURES = {  # row -> its label and the words for training
    "gan": ("GAN", "model.r1=0"),
    "packing": ("packing of 4", "model.r1=0 model.packing=4"),
    "unrolled": ("unrolled by 5", "model.r1=0 model.unrolled=5"),
    "instance_noise": ("instance noise", "model.r1=0 model.instance_noise=1.0 model.noise_steps=3000"),
    "loss": ("least squares", "model.r1=0 model.loss=lsgan"),
    "r1": ("R1", "model.r1=1.0"),
}
# As many steps as Metz et al. 2017 trained the unrolled GAN on their ring.
LONG = "model=gan data.kind=grid trainer.steps=25000 trainer.decay_steps=25000 model.r1=0 model.unrolled=5"
WIDTHS = {  # row -> its label, the model whose run it shows, how samples are drawn
    "ddim": ("`ddpm`, DDIM, η 1, 50 calls", "ddpm", "sampler=ddim sample_steps=50"),
    "ddim_ode": ("`ddpm`, DDIM, η 0, 50 calls", "ddpm", "sampler=ddim sample_steps=50 eta=0.0"),
    "ancestral": ("`ddpm`, ancestral, 1,000 calls", "ddpm", "sampler=ancestral sample_steps=1000"),
    "dpmpp_ode": ("`ddpm`, DPM-Solver++, η 0, 50 calls", "ddpm", "sampler=dpmpp sample_steps=50 eta=0.0"),
    "dpmpp_10": ("`ddpm`, DPM-Solver++, η 1, 10 calls", "ddpm", "sampler=dpmpp sample_steps=10"),
    "dpmpp_20": ("`ddpm`, DPM-Solver++, η 1, 20 calls", "ddpm", "sampler=dpmpp sample_steps=20"),
    "dpmpp": ("`ddpm`, DPM-Solver++, η 1, 50 calls", "ddpm", "sampler=dpmpp sample_steps=50"),
    "score_ode": ("`score`, midpoint, 50 calls", "score", "sampler=ode sample_steps=25"),
    "score": ("`score`, DPM-Solver++, η 1, 50 calls", "score", "sampler=dpmpp sample_steps=50"),
    "flow_ode": ("`flow_matching`, midpoint, 50 calls", "flow_matching", "solver=midpoint sample_steps=25"),
    "flow_first": (
        "`flow_matching`, first order, η 1, 200 calls",
        "flow_matching",
        "solver=stochastic sample_steps=200",
    ),
    "flow": ("`flow_matching`, DPM-Solver++, η 1, 50 calls", "flow_matching", "solver=dpmpp sample_steps=50"),
}
SOLVERS = {  # row -> its label, how samples are drawn, numbers of steps
    "ddim": ("DDIM, η 0", "sampler=ddim eta=0.0", (5, 10, 20, 50)),
    "dpmpp_ode": ("DPM-Solver++, η 0", "sampler=dpmpp eta=0.0", (5, 10, 20, 50)),
    "heun": ("Heun, η 0", "sampler=heun", (3, 5, 10, 25)),  # two calls per step, one in the last
    "ddim_noise": ("DDIM, η 1", "sampler=ddim eta=1.0", (5, 10, 20, 50)),
    "dpmpp": ("DPM-Solver++, η 1", "sampler=dpmpp eta=1.0", (5, 10, 20, 50)),
}
POINTS = {  # label -> words for training
    "gan": "model=gan",
    "wgan": "model=wgan",
    "wgan_gp": "experiment=gaussian2d_wgan_gp_grid",
    "vae": "model=vae",
    "vae_gan": "model=vae_gan",
    "flow": "model=flow",
    "ddpm": "model=ddpm",
    "flow_matching": "model=flow_matching",
    "score": "model=score",
    "latent_diffusion": "model=latent_diffusion",
}


def images(data: str) -> tuple[Row, ...]:
    return tuple(Row(f"{data}_{m}", f"`{m}`", f"model={m} data={data}", words) for m, words in IMAGES.items())


def points(kind: str) -> tuple[Row, ...]:
    return tuple(
        Row(f"{kind}_{name}", f"`{name}`", f"{words} data.kind={kind}", MEASURED) for name, words in POINTS.items()
    )


def solved() -> tuple[Row, ...]:
    """Returns the rows of the ring's DDPM, sampled by each solver in 5 to 50 calls of the net."""
    rows = []
    for name, (label, words, steps) in SOLVERS.items():
        for n in steps:
            calls = 2 * n - 1 if name == "heun" else n
            options = f"samples=5000 likelihood=2 {of_model(words)} model.sample_steps={n}"
            rows.append(Row(f"solver_{name}_{n}", f"{label}, {calls} calls", of="ring_ddpm", evaluate=options))
    return tuple(rows)


def of_model(words: str) -> str:
    """Returns `words` with each word as a key of the model."""
    return " ".join(f"model.{word}" for word in words.split())


TABLES = (
    Table(
        "mnist",
        "MNIST",
        "Models with their default recipes. FID, precision and recall use the features of genlab's classifier; "
        "balance is the size of the smallest class divided by that of the largest.",
        ("fid", "precision", "recall", "balance", "bits_per_dim"),
        images("mnist"),
    ),
    Table(
        "fashionmnist",
        "Fashion-MNIST",
        "The same on images of clothes.",
        ("fid", "precision", "recall", "balance", "bits_per_dim"),
        images("fashionmnist"),
    ),
    Table(
        "binarized",
        "Binarized MNIST",
        "Codes of 50 dimensions; the NLL of the 10,000 test images is the importance-weighted bound from 5000 samples, "
        "in nats.",
        ("elbo", "iwae_nll", "active_units"),
        (
            Row("binarized_vae", "VAE", "experiment=mnist_vae_binarized", "k=5000 likelihood=10000 samples=1000"),
            Row("binarized_iwae", "IWAE, k = 5", "experiment=mnist_iwae", "k=5000 likelihood=10000 samples=1000"),
        ),
    ),
    Table(
        "translation",
        "CycleGAN, against the known map",
        "Label preservation is the share of translations that the classifier assigns to the class of their source. "
        "Errors are mean absolute differences of pixels in [0, 1]; the identity error is that of the identity map.",
        ("label_preservation", "translation_error", "identity_error", "cycle_error"),
        (
            Row("mnist_cyclegan", "MNIST", "model=cyclegan data=mnist"),
            Row("fashionmnist_cyclegan", "Fashion-MNIST", "model=cyclegan data=fashionmnist"),
        ),
    ),
    Table(
        "ring",
        "The ring of 8 narrow Gaussians",
        "Number of modes covered; share of samples within 3σ of a mode (0.989 at best: more means that modes are too "
        "narrow); standard deviation of these within their modes over the true one (1 at best); exact Wasserstein-2 "
        "distance; and the excess of the NLL of held-out points over that of the data's own density, in nats.",
        ("modes", "high_quality", "mode_std", "w2", "nll_excess"),
        points("ring"),
    ),
    Table(
        "grid",
        "The grid of 25",
        "The same measures.",
        ("modes", "high_quality", "mode_std", "w2", "nll_excess"),
        points("grid"),
    ),
    Table(
        "density",
        "The flow's density",
        "Nats per held-out point, with those of the data's own density; the excess estimates a KL divergence.",
        ("nll", "nll_floor", "nll_excess"),
        (
            *(Row(f"{kind}_flow", f"`{kind}`", f"model=flow data.kind={kind}", MEASURED) for kind in TWO),
            *(Row(f"density_{k}", f"`{k}`", of=f"{k}_flow") for k in ("ring", "grid")),
        ),
    ),
    Table(
        "collapse",
        "What cures a GAN's mode collapse?",
        "A GAN on the grid of 25 with one remedy at a time, for the same number of updates; `gan` in the table of "
        "the grid uses R1 and trains longer.",
        ("modes", "high_quality", "mode_std", "w2"),
        (
            *(Row(f"collapse_{name}", label, f"{SHORT} {words}", MEASURED) for name, (label, words) in CURES.items()),
            Row("collapse_unrolled_long", "unrolled by 5, 25,000 steps", LONG, MEASURED),
            Row("collapse_wgan_gp", "WGAN-GP", of="grid_wgan_gp"),
        ),
    ),
    Table(
        "volatility",
        "Is WGAN-GP steadier than a GAN?",
        "Batch losses of the tutorials' two recipes on Fashion-MNIST after warm-up: their spread around the trend, and "
        "their roughness, which does not depend on scale (1: each value is independent of the one before).",
        (
            *("generator_std", "generator_roughness", "discriminator_std|critic_std"),
            *("discriminator_roughness|critic_roughness", "fid", "recall"),
        ),
        (
            Row("volatility_gan", "GAN", "experiment=fashionmnist_gan trainer.log_every=1"),
            Row("volatility_wgan_gp", "WGAN-GP", "experiment=fashionmnist_wgan_gp trainer.log_every=1"),
        ),
    ),
    Table(
        "sharpness",
        "Is a VAE blurred, and a GAN sharp?",
        "Sharpness is the variance of second differences relative to real images: below 1 blurred, above 1 rough.",
        ("sharpness", "fid", "precision", "recall", "reconstruction_mse"),
        (
            Row("sharp_vae", "VAE", of="mnist_vae"),
            Row("sharp_vae_gan", "VAE-GAN", of="mnist_vae_gan"),
            Row("sharp_gan", "GAN", of="mnist_gan"),
            Row("sharp_ddpm", "DDPM", of="mnist_ddpm"),
        ),
    ),
    Table(
        "ablation",
        "What does the adversarial loss of a VAE-GAN do?",
        "The MLP preset on MNIST with several weights λ of that loss; λ = 0 is the VAE.",
        ("fid", "sharpness", "recall", "reconstruction_mse", "elbo"),
        tuple(
            Row(f"ablation_{weight}", f"λ = {weight}", f"experiment=mnist_vae_gan model.adversarial_weight={weight}")
            for weight in (0, 1, 10, 100)
        ),
    ),
    Table(
        "sampler",
        "How many steps does DDIM need?",
        "One DDPM, sampled in more and fewer steps without added noise (η = 0); seconds are for all samples.",
        ("fid", "precision", "recall", "sharpness", "seconds"),
        tuple(
            Row(
                f"sampler_{steps}",
                f"{steps} steps",
                of="mnist_ddpm",
                evaluate=f"samples=2000 k=1 likelihood=2 precision=bf16 model.sampler=ddim model.eta=0.0 "
                f"model.sample_steps={steps}",
            )
            for steps in (2, 5, 10, 20, 50, 100)
        ),
    ),
    Table(
        "widths",
        "What do samplers do to the width of a mode?",
        "The ring's models from above, sampled in other ways: high quality may come from modes that are too narrow.",
        ("modes", "high_quality", "mode_std", "w2"),
        tuple(
            Row(f"widths_{name}", label, of=f"ring_{model}", evaluate=f"samples=10000 likelihood=2 {of_model(words)}")
            for name, (label, model, words) in WIDTHS.items()
        ),
    ),
    Table(
        "solvers",
        "How many calls of the net does a sampler need?",
        "The same DDPM on the ring, sampled in 5 to 50 calls: without added noise (η 0), by samplers of first and "
        "second order, and with it (η 1); seconds are for all samples.",
        ("modes", "high_quality", "mode_std", "w2", "seconds"),
        solved(),
    ),
    Table(
        "timesteps",
        "How many noise levels does a DDPM need?",
        "Trained and sampled with T steps (cosine schedule, ancestral sampling) for the same number of updates.",
        ("modes", "high_quality", "mode_std", "w2", "elbo"),
        tuple(
            Row(
                f"timesteps_{steps}",
                f"T = {steps}",
                f"model=ddpm data.kind=ring model.schedule=cosine model.timesteps={steps} model.sampler=ancestral "
                f"model.sample_steps={steps}",
            )
            for steps in (10, 50, 250, 1000)
        ),
    ),
)
ROWS = {row.name: row for table in TABLES for row in table.rows}


def source(row: Row) -> Row:
    """Returns the row whose run this row shows: itself, unless it is `of` another."""
    return ROWS[row.of] if row.of else row


def evaluation(row: Row) -> Row:
    """Returns the row whose evaluation this row shows: itself, if it has words for one."""
    return row if row.evaluate else source(row)
