"""What the README's results are made of: for each table the runs, the measures shown, and what it is to tell.

Each row is a command that anybody can type: `genlab train WORDS`, then `genlab evaluate run=RUN WORDS`. A row without
words of its own to train by shows the run of another row, evaluated again where it has words for that.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """A run and its evaluation, or one more evaluation of a run."""

    name: str  # its folder, and its name in the record
    label: str
    train: str = ""  # after `genlab train`
    evaluate: str = ""  # after `genlab evaluate run=RUN`
    of: str = ""  # name of the row whose run this is; with no words for an evaluation, whose evaluation as well


class Table(NamedTuple):
    name: str
    title: str
    text: str
    columns: tuple[str, ...]  # measures; of names joined by | the first that a run has; "seconds" to draw the samples
    rows: tuple[Row, ...]


IMAGES = {  # model -> words of its evaluation: bounds of diffusion models converge slowly and are dear
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
CURES = {  # row -> its label, what makes it
    "gan": ("GAN", "model.r1=0"),
    "packing": ("packing of 4", "model.r1=0 model.packing=4"),
    "unrolled": ("unrolled by 5", "model.r1=0 model.unrolled=5"),
    "instance_noise": ("instance noise", "model.r1=0 model.instance_noise=1.0 model.noise_steps=3000"),
    "loss": ("least squares", "model.r1=0 model.loss=lsgan"),
    "r1": ("R1", "model.r1=1.0"),
}
# As many steps as Metz et al. 2017 trained the unrolled GAN on their ring.
LONG = "model=gan data.kind=grid trainer.steps=25000 trainer.decay_steps=25000 model.r1=0 model.unrolled=5"
WIDTHS = {  # row -> its label, the model whose run it is of, how that is drawn from
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
SOLVERS = {  # row -> label, how the model is drawn from, steps for so many calls
    "ddim": ("DDIM, η 0", "sampler=ddim eta=0.0", (5, 10, 20, 50)),
    "dpmpp_ode": ("DPM-Solver++, η 0", "sampler=dpmpp eta=0.0", (5, 10, 20, 50)),
    "heun": ("Heun, η 0", "sampler=heun", (3, 5, 10, 25)),  # two calls a step, one at the last
    "ddim_noise": ("DDIM, η 1", "sampler=ddim eta=1.0", (5, 10, 20, 50)),
    "dpmpp": ("DPM-Solver++, η 1", "sampler=dpmpp eta=1.0", (5, 10, 20, 50)),
}
POINTS = {  # label -> what to train
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
    """The ring's DDPM drawn from by each solver, in 5 to 50 calls of the net."""
    rows = []
    for name, (label, words, steps) in SOLVERS.items():
        for n in steps:
            calls = 2 * n - 1 if name == "heun" else n
            its = f"samples=5000 likelihood=2 {of_model(words)} model.sample_steps={n}"
            rows.append(Row(f"solver_{name}_{n}", f"{label}, {calls} calls", of="ring_ddpm", evaluate=its))
    return tuple(rows)


def of_model(words: str) -> str:
    """`words`, each a key of the model."""
    return " ".join(f"model.{word}" for word in words.split())


TABLES = (
    Table(
        "mnist",
        "MNIST",
        "Models with their default recipes. FID, precision and recall in the features of genlab's classifier; "
        "balance is the smallest class over the largest.",
        ("fid", "precision", "recall", "balance", "bits_per_dim"),
        images("mnist"),
    ),
    Table(
        "fashionmnist",
        "Fashion-MNIST",
        "The same on clothes.",
        ("fid", "precision", "recall", "balance", "bits_per_dim"),
        images("fashionmnist"),
    ),
    Table(
        "binarized",
        "Binarized MNIST",
        "50 codes; the NLL of the 10,000 test images is the importance-weighted bound from 5000 samples, nats.",
        ("elbo", "iwae_nll", "active_units"),
        (
            Row("binarized_vae", "VAE", "experiment=mnist_vae_binarized", "k=5000 likelihood=10000 samples=1000"),
            Row("binarized_iwae", "IWAE, k = 5", "experiment=mnist_iwae", "k=5000 likelihood=10000 samples=1000"),
        ),
    ),
    Table(
        "translation",
        "CycleGAN, against the known map",
        "Label preservation: translations whose class is still that of their source, by the classifier. Errors are "
        "mean absolute differences of pixels in [0, 1]; the identity error is that of doing nothing.",
        ("label_preservation", "translation_error", "identity_error", "cycle_error"),
        (
            Row("mnist_cyclegan", "MNIST", "model=cyclegan data=mnist"),
            Row("fashionmnist_cyclegan", "Fashion-MNIST", "model=cyclegan data=fashionmnist"),
        ),
    ),
    Table(
        "ring",
        "The ring of 8 narrow Gaussians",
        "Modes that are covered; the share of samples within 3σ of one (0.989 at best: more comes from modes that are "
        "too narrow); the deviation of these within their modes over the true one (1 at best); the exact Wasserstein-2 "
        "distance; and how many nats the NLL of held-out points is above that of the data's own density.",
        ("modes", "high_quality", "mode_std", "w2", "nll_excess"),
        points("ring"),
    ),
    Table(
        "grid",
        "The grid of 25",
        "The same.",
        ("modes", "high_quality", "mode_std", "w2", "nll_excess"),
        points("grid"),
    ),
    Table(
        "density",
        "The flow's density",
        "Nats a held-out point, beside those of the data's own density; the excess estimates a KL divergence.",
        ("nll", "nll_floor", "nll_excess"),
        (
            *(Row(f"{kind}_flow", f"`{kind}`", f"model=flow data.kind={kind}", MEASURED) for kind in TWO),
            *(Row(f"density_{k}", f"`{k}`", of=f"{k}_flow") for k in ("ring", "grid")),
        ),
    ),
    Table(
        "collapse",
        "What cures a GAN's mode collapse?",
        "A GAN on the grid of 25, with one remedy each for as many updates; `gan` in the table above is R1 for longer.",
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
        "their roughness, which is free of scale (1: each value knows nothing of the one before).",
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
        "Sharpness is the spread of second differences over that of real images: below 1 blurred, above 1 rough.",
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
        "The MLP preset on MNIST with its weight λ; λ = 0 is the VAE.",
        ("fid", "sharpness", "recall", "reconstruction_mse", "elbo"),
        tuple(
            Row(f"ablation_{weight}", f"λ = {weight}", f"experiment=mnist_vae_gan model.adversarial_weight={weight}")
            for weight in (0, 1, 10, 100)
        ),
    ),
    Table(
        "sampler",
        "How many steps does DDIM need?",
        "One DDPM, drawn from in more and fewer steps, without noise on the way (η = 0); seconds for all the samples.",
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
        "The ring's models from above, drawn from in other ways: high quality may come from modes that are too narrow.",
        ("modes", "high_quality", "mode_std", "w2"),
        tuple(
            Row(f"widths_{name}", label, of=f"ring_{model}", evaluate=f"samples=10000 likelihood=2 {of_model(words)}")
            for name, (label, model, words) in WIDTHS.items()
        ),
    ),
    Table(
        "solvers",
        "What is a call of the net worth?",
        "The same DDPM on the ring, drawn from in 5 to 50 calls: without noise on the way (η 0), by samplers of first "
        "and second order, and with it (η 1); seconds for all the samples.",
        ("modes", "high_quality", "mode_std", "w2", "seconds"),
        solved(),
    ),
    Table(
        "timesteps",
        "How many levels of noise does a DDPM need?",
        "Trained and drawn from with T steps (cosine schedule, ancestral sampling) for the same number of updates.",
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
    """The row whose run it shows: itself, unless it is `of` another."""
    return ROWS[row.of] if row.of else row


def evaluation(row: Row) -> Row:
    """The row whose evaluation it shows: itself, where it asks for one."""
    return row if row.evaluate else source(row)
