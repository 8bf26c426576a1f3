"""Throws thousands of wrong inputs at the command line and at the files of a run: `python scripts/robustness/fuzz.py`.

Overrides, configs, checkpoints, metrics and data files are made by hypothesis; the kinds of input and the rule that
each must keep stand in tests/fuzzing.py. Prints how many were accepted and refused, and those that broke the rule.
"""

import argparse
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, seed, settings

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from fuzzing import KINDS, UNHURRIED, Broken  # type: ignore[import-not-found]  (tests/ is no package)


def fuzz(kind: str, examples: int, number: int) -> Counter:
    """Run one kind of input; return how many were accepted and refused."""
    strategy, check = KINDS[kind]
    counts: Counter = Counter()
    seen: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="genlab-fuzz-") as folder:

        @seed(number)
        @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=UNHURRIED)
        @given(strategy)
        def run(case: Any) -> None:
            try:
                counts[check(case, Path(folder))] += 1
            except Broken as error:  # not raised, so that others are found as well
                counts["broken"] += 1
                frames = traceback.extract_tb(error.__cause__.__traceback__) if error.__cause__ else []
                place = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames[-3:]]
                if str(place) not in seen or not place:
                    seen.add(str(place))
                    print(f"broken: {kind}: {case!r}\n    {error}\n    {place}")

        run()
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--examples", type=int, default=300, help="of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"by comma: {', '.join(KINDS)}")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    total: Counter = Counter()
    for kind in chosen.kinds.split(","):
        began = time.monotonic()
        counts = fuzz(kind, chosen.examples, chosen.seed)
        total += counts
        print(f"{kind:18}{dict(counts)} in {time.monotonic() - began:.0f} s", flush=True)
    print(f"{sum(total.values())} inputs: {dict(total)}")
    return int(total["broken"] > 0)


if __name__ == "__main__":
    sys.exit(main())
