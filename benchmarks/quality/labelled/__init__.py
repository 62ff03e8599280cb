"""Labelled data for the scripts beside it and for tests: requests and word problems with certified optima, and their judge."""
