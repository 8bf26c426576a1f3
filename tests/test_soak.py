"""A short soak test: killed runs end with the same bits (`scripts/robustness/soak.py`)."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_killed_runs_are_not_lost():
    command = [
        sys.executable,
        str(ROOT / "scripts" / "robustness" / "soak.py"),
        "--kills=2",
        "--models=wgan_gp",
        "--writes=20",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 lost. " in done.stdout
