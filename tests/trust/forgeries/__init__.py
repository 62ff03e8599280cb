"""Forged records of many kinds; importing this package collects them in `KINDS`."""

from tests.trust.forgeries import asked, compared, files, found, spent, trust
from tests.trust.forgeries.case import KINDS, make

__all__ = ["KINDS", "asked", "compared", "files", "found", "make", "spent", "trust"]
