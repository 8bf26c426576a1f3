"""Odd inputs are accepted, or refused with a one-line error. `scripts/robustness/fuzz.py` tries thousands."""

import pytest
from fuzzing import KINDS, UNHURRIED
from hypothesis import given, settings

EXAMPLES = {"overrides": 10, "IDX": 10}  # these compose a config, which is slow


@pytest.mark.parametrize("kind", KINDS)
def test_any_input_is_accepted_or_gives_a_one_line_error(kind, tmp_path):
    strategy, check = KINDS[kind]

    @settings(
        max_examples=EXAMPLES.get(kind, 20),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=UNHURRIED,
    )
    @given(strategy)
    def run(case):
        check(case, tmp_path)  # raises Broken if the command breaks the rule of fuzzing.py

    run()
