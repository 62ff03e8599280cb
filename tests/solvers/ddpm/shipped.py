"""What shipped weights are for; needs no torch."""

from __future__ import annotations

import json

from optisolve.content import content_dir


def scenario_of(weights: str) -> str:
    """The default scenario of the family that some shipped weights belong to, as their card says."""
    card = json.loads((content_dir("solvers") / "ddpm" / "weights" / weights / "card.json").read_text(encoding="utf-8"))
    return str(card["family"])
