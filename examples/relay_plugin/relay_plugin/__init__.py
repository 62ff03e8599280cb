"""Example plug-ins for optisolve."""
