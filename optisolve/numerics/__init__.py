"""Numerical methods that problems' references and solvers share: plain arrays in, plain arrays out.

Everything here knows arrays only, neither problems nor solvers, so that both sides may use it.
"""
