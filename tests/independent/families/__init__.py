"""One module per family, named like it; see `tests.independent.protocol`."""
