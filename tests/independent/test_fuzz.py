"""A short fuzz in the default run, the long one by hand: no certificate is beaten, nothing ends in a traceback."""

from __future__ import annotations

import pytest

from tests.independent.fuzz import fuzz_family
from tests.independent.protocol import FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_no_certificate_falls_on_drawn_parameters(name: str) -> None:
    tally = fuzz_family(name, 8, seconds=10.0, n_random=50)
    assert tally.instances > 0
    assert tally.clean, [*tally.beaten, *tally.raised, f"disagreement {tally.disagreement:.1e}"]
    assert not tally.withdrawn


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_no_certificate_falls_on_many_drawn_parameters(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    tally = fuzz_family(name, 400, seconds=300.0, first=1000)
    with capsys.disabled():
        print(
            f"\n{name}: {tally.instances} instances, {dict(tally.evidence)}, {tally.disagreement:.1e}, {tally.tried:,} points"
        )
    assert tally.clean, [*tally.beaten, *tally.raised, f"disagreement {tally.disagreement:.1e}"]
    assert not tally.withdrawn
