"""Train the experts of `drl_fusion`: one small policy per primitive intent of nsp_utility, by PPO or by SAC.

    pip install 'optisolve[drl]'
    python benchmarks/training/nsp_experts.py [rate availability bep energy] [--algorithm ppo] [--steps 100000] [--seed 0]
        [--out solvers/drl_fusion]

Every episode is one step: gains are drawn as in the scenario, the policy names powers, the reward is the scenario's own
objective, scaled. For the energy intent the total follows from the shares: it is the least one that meets the rate floor. What
is written is a JSON file per expert with the weights of the policy's mean, rounded to six digits, and the mean share of the
certified optimum that the exported policy reaches on instances that training never saw. One core: PPO takes 3 to 6 s per
expert, SAC about a minute.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

try:
    import gymnasium as gym
    import torch
    from stable_baselines3 import PPO, SAC
    from stable_baselines3.common.vec_env.base_vec_env import VecEnv
except ImportError:
    raise SystemExit(
        "error: Not installed: stable-baselines3, which trains the experts. Install with: pip install 'optisolve[drl]'"
    ) from None

import optisolve
from optisolve.core.reference import Effort
from optisolve.solvers.drl_fusion.policy import EXPERTS, OBSERVATION, Policy, least_total, observe, policy_file, powers_of

INTENTS = {**{name: f"nsp_utility/{name}" for name in EXPERTS}, "throughput": "nsp_utility"}
"""Scenario by intent; throughput is a compound one, trained on wish only, to see what fusing experts costs."""
HIDDEN = 32
N_ENVS = {"ppo": 256, "sac": 64}
STEPS = {"ppo": 100_000, "sac": 50_000}
REACH = 2.0
"""SAC acts within plus and minus this; the wider, the more of its first, random answers earn nothing to learn from."""


class OneStep(VecEnv):
    """A batch of single-step episodes on freshly drawn gains."""

    def __init__(self, scenario: str, seed: int, algorithm: str) -> None:
        problem: Any = optisolve.load_problem(scenario)
        self.problem, instance = problem, problem.instance(0)
        self.constants, self.m = instance.constants, instance.gain.size
        self.rng = np.random.default_rng(seed)
        self.low, self.high = problem.gain_groups[0][1:]
        n, reach = N_ENVS[algorithm], {"ppo": 10.0, "sac": REACH}[algorithm]
        box = gym.spaces.Box(-10.0, 10.0, (self.m,), np.float32)
        super().__init__(n, box, gym.spaces.Box(-reach, reach, (self.m + 1,), np.float32))
        self.actions = np.zeros((n, self.m + 1))

    def reset(self) -> np.ndarray:
        self.gain = self.rng.uniform(self.low, self.high, (self.num_envs, self.m))
        return observe(self.gain, self.constants.noise_w).astype(np.float32)

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        from optisolve.problems.nsp_utility import model

        c, n = self.constants, self.num_envs
        P = powers_of(np.asarray(self.actions, dtype=np.float64), c.p_total_w)
        if c.goal == "energy":
            P = settled(c, self.gain, P)
        F, _ = model.evaluate(c, self.gain, P)  # a row of gains for every row of powers
        rewards = (-F[:, 0] if c.goal == "energy" else F[:, 0]) / self.scale
        return self.reset(), rewards.astype(np.float32), np.ones(n, dtype=bool), [{} for _ in range(n)]

    @property
    def scale(self) -> float:
        """Rewards near 1: what uniform power earns or uses, about."""
        return {"rate": 50.0, "availability": 50.0, "bep": 1000.0, "energy": 2.5, "throughput": 25.0}[self.constants.goal]

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [None] * self.num_envs

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


def settled(c: Any, gain: np.ndarray, P: np.ndarray) -> np.ndarray:
    """The same shares at the least total that meets the floors, or at the cap when none does; float64 [n, M], W."""
    from optisolve.problems.nsp_utility import model

    unit = P / P.sum(axis=1, keepdims=True)
    low, high = np.zeros((len(P), 1)), np.full((len(P), 1), c.p_total_w)
    for _ in range(40):
        middle = 0.5 * (low + high)
        fine = (model.evaluate(c, gain, middle * unit)[1][:, 1:] <= 0.0).all(axis=1, keepdims=True)
        low, high = np.where(fine, low, middle), np.where(fine, middle, high)
    return high * unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("intents", nargs="*", default=list(EXPERTS))
    parser.add_argument("--algorithm", choices=list(STEPS), default="ppo")
    parser.add_argument("--steps", type=int, default=None, help="default: 100,000 with ppo, 50,000 with sac")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="solvers/drl_fusion")
    options = parser.parse_args()
    torch.set_num_threads(1)
    steps = options.steps or STEPS[options.algorithm]
    for intent in options.intents:
        start = time.process_time()
        env = OneStep(INTENTS[intent], options.seed, options.algorithm)
        learner = {"ppo": ppo, "sac": sac}[options.algorithm](env, options.seed)
        learner.learn(steps)
        policy = exported(learner, intent)
        spent, share = time.process_time() - start, held_out(policy, INTENTS[intent])
        card = {
            "expert": intent,
            "scenario": INTENTS[intent],
            "algorithm": f"{options.algorithm.upper()} (stable-baselines3), one-step episodes",
            "steps": steps,
            "seed": options.seed,
            "observation": OBSERVATION,
            "share_of_optimum": round(share, 4),
            **({} if policy.reach is None else {"reach": policy.reach}),
            "layers": [{"weight": np.round(w, 6).tolist(), "bias": np.round(b, 6).tolist()} for w, b in policy.layers],
        }
        path = Path(options.out) / policy_file(intent, options.algorithm)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(card) + "\n", encoding="utf-8")
        print(
            f"{intent}: {share:.4f} of the certified optimum on held-out instances, {spent:.0f} s of one core, {path}",
            flush=True,
        )


def ppo(env: OneStep, seed: int) -> PPO:
    net = {
        "net_arch": {"pi": [HIDDEN, HIDDEN], "vf": [HIDDEN, HIDDEN]},
        "activation_fn": torch.nn.Tanh,
        "log_std_init": -0.5,
    }
    return PPO(
        "MlpPolicy",
        env,
        n_steps=8,
        batch_size=512,
        n_epochs=8,
        gamma=0.0,
        learning_rate=lambda left: 2e-3 * left + 1e-5,
        clip_range=0.2,
        normalize_advantage=True,
        seed=seed,
        policy_kwargs=net,
        device="cpu",
    )


def sac(env: OneStep, seed: int) -> SAC:
    return SAC(
        "MlpPolicy",
        env,
        gamma=0.0,
        learning_rate=lambda left: 2e-3 * left + 1e-5,
        batch_size=256,
        train_freq=1,
        gradient_steps=16,
        learning_starts=100,
        ent_coef="auto_0.01",
        target_entropy=-3.0 * env.action_space.shape[0],  # one-step episodes: little noise is enough
        seed=seed,
        policy_kwargs={"net_arch": {"pi": [HIDDEN, HIDDEN], "qf": [64, 64]}, "activation_fn": torch.nn.Tanh},
        device="cpu",
    )


def exported(learner: PPO | SAC, intent: str) -> Policy:
    """The policy's mean as plain arrays, rounded as they are written."""
    if isinstance(learner, SAC):
        modules, reach = [*learner.actor.latent_pi, learner.actor.mu], REACH
    else:
        modules, reach = [*learner.policy.mlp_extractor.policy_net, learner.policy.action_net], None
    linear = [m for m in modules if isinstance(m, torch.nn.Linear)]
    layers = [
        (np.round(m.weight.detach().numpy().astype(np.float64), 6), np.round(m.bias.detach().numpy().astype(np.float64), 6))
        for m in linear
    ]
    return Policy(intent, tuple(layers), reach)


def held_out(policy: Policy, scenario: str, n: int = 20) -> float:
    problem: Any = optisolve.load_problem(scenario)
    shares = []
    for seed in range(1000, 1000 + n):
        instance = problem.instance(seed)
        c = instance.constants
        reference = problem.reference(instance, Effort.QUICK)
        powers = policy.act(instance.gain, c.noise_w, c.p_total_w)
        value = instance.evaluate(least_total(instance, powers) if c.goal == "energy" else powers).F[0, 0]
        shares.append(reference.value / value if c.goal == "energy" else value / reference.value)
    return float(np.mean(shares))


if __name__ == "__main__":
    main()
