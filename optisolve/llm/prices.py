"""Prices of hosted models: data with a date and sources in ``prices/llm.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from optisolve import content

__all__ = ["Prices", "listed_prices"]


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens.

    Args:
        tokens_in: Prompt tokens.
        tokens_out: Completion tokens.
        cached: Prompt tokens that the provider serves from its own cache.
        source: Where the numbers come from, in words.
    """

    tokens_in: float
    tokens_out: float
    cached: float
    source: str


def listed_prices(url: str, model: str) -> Prices | None:
    """The listed prices of a model at an endpoint; None when it is not listed.

    Args:
        url: Address of the endpoint; the same name at another host may be another model at another price.
        model: Model name.
    """
    table = content.load_yaml("prices", "llm")
    row = table["hosts"].get(urlsplit(url).hostname or "", {}).get(model)
    if row is None:
        return None
    return Prices(float(row["in"]), float(row["out"]), float(row["cached"]), f"prices/llm.yaml of {table['date']}")
