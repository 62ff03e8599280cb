"""Train the experts of `drl_fusion`: one small PPO policy per primitive intent of nsp_utility.

    pip install 'optisolve[drl]'
    python benchmarks/training/nsp_experts.py [rate availability bep] [--steps 100000] [--seed 0] [--out solvers/drl_fusion]

Every episode is one step: gains are drawn as in the scenario, the policy names powers, the reward is the scenario's own
utility, scaled. What is written is a JSON file per expert with the weights of the policy's mean, rounded to six digits, and
the mean share of the certified optimum that the exported policy reaches on instances that training never saw.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

import optisolve
from optisolve.core.reference import Effort
from optisolve.solvers.drl_fusion.policy import OBSERVATION, Policy, observe, powers_of

INTENTS = {"rate": "nsp_utility/rate", "availability": "nsp_utility/availability", "bep": "nsp_utility/bep"}
HIDDEN = 32
N_ENVS = 256


class OneStep(VecEnv):
    """A batch of single-step episodes on freshly drawn gains."""

    def __init__(self, scenario: str, seed: int) -> None:
        self.problem = optisolve.load_problem(scenario)
        instance = self.problem.instance(0)
        self.constants, self.m = instance.constants, instance.gain.size
        self.rng = np.random.default_rng(seed)
        self.low, self.high = self.problem.gain_groups[0][1:]
        box = gym.spaces.Box(-10.0, 10.0, (self.m,), np.float32)
        super().__init__(N_ENVS, box, gym.spaces.Box(-10.0, 10.0, (self.m + 1,), np.float32))
        self.actions = np.zeros((N_ENVS, self.m + 1))

    def reset(self) -> np.ndarray:
        self.gain = self.rng.uniform(self.low, self.high, (N_ENVS, self.m))
        return observe(self.gain, self.constants.noise_w).astype(np.float32)

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        from optisolve.problems.nsp_utility import model

        P = powers_of(np.asarray(self.actions, dtype=np.float64), self.constants.p_total_w)
        rewards = np.empty(N_ENVS)
        for i in range(N_ENVS):
            F, _ = model.evaluate(self.constants, self.gain[i], P[i : i + 1])
            rewards[i] = F[0, 0]
        return self.reset(), (rewards / self.scale).astype(np.float32), np.ones(N_ENVS, dtype=bool), [{} for _ in range(N_ENVS)]

    @property
    def scale(self) -> float:
        """Rewards near 1: utility that uniform power earns, about."""
        return {"rate": 50.0, "availability": 50.0, "bep": 1000.0}[self.constants.goal]

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * N_ENVS

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [None] * N_ENVS

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * N_ENVS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("intents", nargs="*", default=list(INTENTS))
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="solvers/drl_fusion")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for intent in options.intents:
        start = time.time()
        env = OneStep(INTENTS[intent], options.seed)
        net = {
            "net_arch": {"pi": [HIDDEN, HIDDEN], "vf": [HIDDEN, HIDDEN]},
            "activation_fn": torch.nn.Tanh,
            "log_std_init": -0.5,
        }
        model = PPO(
            "MlpPolicy",
            env,
            n_steps=8,
            batch_size=512,
            n_epochs=8,
            gamma=0.0,
            learning_rate=lambda left: 2e-3 * left + 1e-5,
            clip_range=0.2,
            normalize_advantage=True,
            seed=options.seed,
            policy_kwargs=net,
            device="cpu",
        )
        model.learn(options.steps)
        policy = exported(model, intent)
        share = held_out(policy, INTENTS[intent])
        card = {
            "expert": intent,
            "scenario": INTENTS[intent],
            "algorithm": "PPO (stable-baselines3), one-step episodes",
            "steps": options.steps,
            "seed": options.seed,
            "observation": OBSERVATION,
            "share_of_optimum": round(share, 4),
            "layers": [{"weight": np.round(w, 6).tolist(), "bias": np.round(b, 6).tolist()} for w, b in policy.layers],
        }
        path = Path(options.out) / f"{intent}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(card) + "\n", encoding="utf-8")
        print(
            f"{intent}: {share:.4f} of the certified optimum on held-out instances, {time.time() - start:.0f} s, {path}",
            flush=True,
        )


def exported(model: PPO, intent: str) -> Policy:
    """The policy's mean as plain arrays, rounded as they are written."""
    modules = [*model.policy.mlp_extractor.policy_net, model.policy.action_net]
    linear = [m for m in modules if isinstance(m, torch.nn.Linear)]
    layers = [
        (np.round(m.weight.detach().numpy().astype(np.float64), 6), np.round(m.bias.detach().numpy().astype(np.float64), 6))
        for m in linear
    ]
    return Policy(intent, tuple(layers))


def held_out(policy: Policy, scenario: str, n: int = 20) -> float:
    problem, shares = optisolve.load_problem(scenario), []
    for seed in range(1000, 1000 + n):
        instance = problem.instance(seed)
        reference = problem.reference(instance, Effort.QUICK)
        value = instance.evaluate(policy.act(instance.gain, instance.constants.noise_w, instance.constants.p_total_w)).F[0, 0]
        shares.append(value / reference.value)
    return float(np.mean(shares))


if __name__ == "__main__":
    main()
