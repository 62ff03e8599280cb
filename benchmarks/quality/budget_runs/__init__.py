"""Runs behind docs/budgets.md: what is compared, how it is measured, and the tables that are made of it."""
