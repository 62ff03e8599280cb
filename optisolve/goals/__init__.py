"""Typed goals: metrics that a family documents, goals and wishes over them, and the units people write them in."""
