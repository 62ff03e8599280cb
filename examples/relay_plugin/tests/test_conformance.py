"""Both plug-ins pass the public conformance kits."""

from relay_plugin.problem import Relay
from relay_plugin.solver import CoordinateSearch

from optisolve.testing import ProblemConformance, SolverConformance


class TestRelay(ProblemConformance):
    def make_problem(self):
        return Relay()


class TestCoordinateSearch(SolverConformance):
    def make_solver(self):
        return CoordinateSearch()

    def make_instances(self):
        return [Relay().instance(seed) for seed in range(3)]
