"""A table of nets by their role in a family and the layout of a sample, best first.

A net with a condition on the shape is skipped if the shape does not meet it. The nets themselves raise an error if they
are asked for by name and do not fit.
"""

from collections.abc import Callable, Sequence

from genlab.data.packed import Packed
from genlab.errors import OptionError, UserError, choose
from genlab.networks import dcgan, unet

Shape = Sequence[int]
LAYOUTS = {1: "vector", 2: "sequence", 3: "image"}  # by the number of axes of a sample

TABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("decoder", "vector"): ("mlp",),
    ("decoder", "sequence"): ("conv1d", "gru", "lstm", "transformer", "mlp"),
    ("decoder", "image"): ("dcgan", "mlp"),
    ("decoder", "graph"): ("gnn", "mlp"),
    ("encoder", "vector"): ("mlp",),
    ("encoder", "sequence"): ("conv1d", "tcn", "gru", "lstm", "transformer", "mlp"),
    ("encoder", "image"): ("dcgan", "mlp"),
    ("encoder", "graph"): ("gnn", "mlp"),
    ("denoiser", "vector"): ("mlp",),
    ("denoiser", "sequence"): ("unet1d", "diffwave", "gru", "lstm", "transformer", "mlp"),
    ("denoiser", "image"): ("unet", "mlp"),
    ("denoiser", "graph"): ("edge_transformer", "mlp"),
    ("translator", "vector"): ("mlp",),
    ("translator", "sequence"): ("resnet1d", "mlp"),
    ("translator", "image"): ("resnet", "mlp"),
    ("classifier", "image"): ("classifier",),
    ("flow", "vector"): ("realnvp",),
    ("flow", "sequence"): ("realnvp1d", "realnvp"),
    ("flow", "image"): ("glow", "realnvp"),
}
NO_GRAPHS = {  # why a role has no net for graphs
    "translator": "no net translates graphs from one domain to another",
    "flow": "couplings split a sample by position, but the nodes of a graph have no order; use digress, ddpm or vae",
}


def pick(role: str, net: str, shape: Shape, option: str = "net") -> str:
    """Returns the name of the net, with `auto` resolved by the table: ("decoder", "auto", (1, 28, 28)) -> "dcgan".

    Args:
        role: decoder, encoder, denoiser, translator, classifier or flow.
        option: the name of the option, for error messages.

    Raises:
        UserError: the role has no net of that name, or none for such samples.
    """
    names = dict.fromkeys(name for (key, _), row in TABLE.items() if key == role for name in row)
    choose(option, net, ("auto", *names))
    layout = layout_of(shape)
    if layout == "graph" and role in NO_GRAPHS:
        raise OptionError(option, NO_GRAPHS[role])
    if net in ("gnn", "edge_transformer") and layout != "graph":
        raise OptionError(option, f"{net} takes graphs, not samples of shape {tuple(shape)}; use auto")
    if net != "auto":
        return net
    row = TABLE[role, layout]
    return next(name for name in row if name not in FITS or FITS[name](shape))


def series(net: str, shape: Shape, steps: int = 1, option: str = "net") -> tuple[int, int]:
    """Returns the channels and the steps of a sample, (C, T), for a net that only works on series.

    Args:
        net: the net's name, for the error message.
        steps: the least number of steps that the net can work on.
        option: the name of the option, for error messages.

    Raises:
        UserError: samples are not series, or too short.
    """
    if len(shape) != 2 or shape[1] < steps:
        length = f" of {steps} or more steps" if steps > 1 else ""
        raise OptionError(option, f"{net} needs series{length}, not samples of shape {tuple(shape)}; use auto")
    return shape[0], shape[1]


def layout_of(shape: Shape) -> str:
    """Returns how the axes of a sample are to be read: vector, sequence, image or graph."""
    return "graph" if isinstance(shape, Packed) else LAYOUTS[len(shape)]


def halves_to_8(shape: Shape) -> bool:
    """Returns whether images are square and their side halves down to 8 or less."""
    return shape[1] == shape[2] and shape[1] % 2 == 0 and dcgan.levels(shape[1])[1] <= 8


def halves_at_all(shape: Shape) -> bool:
    """Returns whether both sides can be halved."""
    return all(dcgan.levels(side)[0] > 0 for side in shape[1:])


def quarters(shape: Shape) -> bool:
    """Returns whether both sides are divisible by 4 and 16 or more."""
    return all(side % 4 == 0 and side >= 16 for side in shape[1:])


def has_levels(shape: Shape) -> bool:
    """Returns whether a U-Net can be built for the shape."""
    try:
        return bool(unet.sides(shape))
    except UserError:
        return False


FITS: dict[str, Callable[[Shape], bool]] = {
    "dcgan": halves_to_8,
    "unet": has_levels,
    "resnet": quarters,
    "glow": halves_at_all,
    "unet1d": lambda shape: shape[1] >= 4,
    "realnvp1d": lambda shape: shape[1] >= 2,
}
