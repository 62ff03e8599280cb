"""What a memory is worth in an episode: a warm start on few evaluations beside cold starts on few and on many.

python benchmarks/quality/episodes.py                    uav_isac, moe, 50 steps: 100 evaluations a step against 2,000
python benchmarks/quality/episodes.py --step-s 10 --memory retrieve
python benchmarks/quality/episodes.py --problem power_control/gaussian_k5_0db --solver wmmse --few 40 --many 800

Compared is the score of the verified answers at every step (hypervolume, or the objective), without references; step 0,
at which no memory holds anything, is left out. Printed are means over steps, and how often the warm answer is as good.
"""

from __future__ import annotations

import argparse

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.registry import load_problem, load_solver
from optisolve.study.episodes import Arm, Course, run_arm


def scores(course: Course, arm: Arm, seed: int) -> FloatArray:
    """Score of every step, larger is better; NaN without a feasible point."""
    run = run_arm(course, arm, seed=seed)
    several = len(course.steps[0].instance.objectives) > 1
    sign = 1.0 if several else -float(course.steps[0].instance.signs[0])
    found = [r.hypervolume if several else r.record.scores.objective for r in run.results]
    return sign * np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--problem", default="uav_isac")
    parser.add_argument("--solver", default="moe")
    parser.add_argument("--memory", default="warm")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--instance", type=int, default=0)
    parser.add_argument("--kind", default="auto")
    parser.add_argument("--step-s", type=float, default=None)
    told = parser.parse_args()
    motion = {"kind": told.kind, "step_s": told.step_s}
    course = Course.of(load_problem(told.problem), told.steps, motion=motion, seed=told.instance, effort=None)
    events = sum(len(step.events) for step in course.steps)
    print(f"{told.problem}, {told.steps} steps, {course.motion}, {events} events", flush=True)
    solver, few, many = load_solver(told.solver), Budget(evaluations=told.few), Budget(evaluations=told.many)
    arms = (
        Arm(f"{told.solver}, {told.memory}, {told.few}", solver, told.memory, few),
        Arm(f"{told.solver}, cold, {told.few}", solver, "none", few),
        Arm("first answer kept", solver, "keep", few),
        Arm(f"{told.solver}, cold, {told.many}", solver, "none", many),
    )
    found = dict[str, FloatArray]()
    for arm in arms:
        found[arm.name] = scores(course, arm, told.seed)[1:]
        values = found[arm.name]
        print(f"{arm.name:28s} mean {values.mean():.4f}  worst {values.min():.4f}  last {values[-1]:.4f}", flush=True)
    warm, cold = found[arms[0].name], found[arms[-1].name]
    at_least = int((warm >= cold).sum())
    print(f"{arms[0].name} reaches {arms[-1].name} at {at_least} of {len(warm)} steps; mean ratio {(warm / cold).mean():.4f}")


if __name__ == "__main__":
    main()
