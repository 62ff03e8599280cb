"""Labelled requests and word problems without limit, and the judge that compares an answer with its label.

Scripts of this folder import it as `labelled`; pytest finds it by ``pythonpath`` in pyproject.toml. It is no part of the wheel.
"""
