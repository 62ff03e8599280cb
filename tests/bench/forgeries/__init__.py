"""Forged records of many kinds; importing this package collects them in `KINDS`."""

from forgeries import asked, compared, files, found, spent, trust
from forgeries.case import KINDS, make

__all__ = ["KINDS", "asked", "compared", "files", "found", "make", "spent", "trust"]
