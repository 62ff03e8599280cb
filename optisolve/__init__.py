"""LLM-driven network optimization: problems, solvers, certified references, records that can be trusted."""

__version__ = "0.1.0"
