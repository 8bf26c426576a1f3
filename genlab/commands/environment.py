"""Records the environment of a run: versions, device, threads, genlab's commit, the command, the data's fingerprint.

Two runs are bitwise identical if all of these, the config and the seed agree (on CUDA, also with
`trainer.deterministic=true`).
"""

import hashlib
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import genlab

if TYPE_CHECKING:
    from genlab.trainer.loop import Trainer


def environment(trainer: "Trainer") -> dict[str, Any]:
    """Returns the environment as plain values; None for what cannot be determined."""
    import numpy
    import torch

    device = trainer.device
    return {
        "command": shlex.join(genlab.command or sys.argv),
        "step": trainer.step,  # where this start of the run began
        "genlab": genlab.__version__,
        "source": source(Path(genlab.__file__).parents[1]),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "system": platform.platform(),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "cudnn": torch.backends.cudnn.version() if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "deterministic": trainer.options.deterministic,
        "data": trainer.data.fingerprint,
    }


def source(root: Path) -> dict[str, Any] | None:
    """Returns the commit of genlab's checkout and the SHA-256 of the diff to it; None for an installed package."""
    if not (root / ".git").exists():
        return None
    commit, changes = _git(root, "rev-parse", "HEAD"), _git(root, "diff", "HEAD", "--no-ext-diff", "--no-textconv")
    if commit is None or changes is None:
        return None
    digest = hashlib.sha256(changes).hexdigest() if changes else None
    return {"commit": commit.decode().strip(), "dirty": bool(changes), "diff_sha256": digest}


def processor() -> str | None:
    """Returns the name of the CPU: from /proc/cpuinfo on Linux, else from `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or None


def _git(root: Path, *arguments: str) -> bytes | None:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no git, or git refuses the checkout
        return None
