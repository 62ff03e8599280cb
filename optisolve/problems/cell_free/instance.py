"""One case of `cell_free`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Space, Variable
from optisolve.problems.cell_free import model

if TYPE_CHECKING:
    import torch

    from optisolve.modelling.cvxpy import CvxpyModel

__all__ = ["CellFreeInstance"]


class CellFreeInstance(Instance):
    """Large-scale gains between access points and users.

    Args:
        origin: How to make it again.
        beta: float64 [M, K], linear, read-only.
        snr: Transmit power of an access point over the noise, rho, linear.
        pilot_snr: tau rho_p, linear.
    """

    def __init__(self, origin: Origin, beta: FloatArray, snr: float, pilot_snr: float) -> None:
        self.beta = beta
        self.beta_snr = frozen(snr * beta)
        self.gamma_snr = frozen(snr * model.estimate_gain(beta, pilot_snr))
        self._root_gamma = frozen(np.sqrt(self.gamma_snr))
        M, K = beta.shape
        equal, _ = model.evaluate(self.beta_snr, self.gamma_snr, np.full((1, M * K), K**-0.5))
        super().__init__(
            origin=origin,
            space=Space.of(Variable(f"ap{m}.user{k}.amplitude", 0.0, 1.0) for m in range(M) for k in range(K)),
            objectives=(
                Objective(
                    "worst_rate",
                    Sense.MAXIMIZE,
                    "bit/s/Hz",
                    "Spectral efficiency of the worst user, pilots not deducted.",
                    scale=float(equal[0, 0]),  # equal shares reach it, so gaps are relative to the optimum
                    axis="Spectral efficiency of the worst user",
                ),
            ),
            constraint_names=tuple(f"power_ap{m}" for m in range(M)),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Large-scale gains."""
        return {"beta": self.beta}

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """SNR at full power of one access point, dB."""
        return {"beta_snr_db": 10.0 * np.log10(self.beta_snr)}

    def describe(self) -> Description:
        """The instance in words."""
        return _in_words(self.beta_snr)

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Equal shares, shares by channel quality (no power control), and the strongest user only."""
        M, K = self.beta.shape
        quality = np.sqrt(self.gamma_snr / self.gamma_snr.sum(axis=1, keepdims=True))
        policies = {
            "equal": np.full((M, K), K**-0.5),
            "no_power_control": quality,
            "strongest_user": np.eye(K)[self.beta.argmax(axis=1)],
        }
        return {name: model.project((M, K), a.reshape(1, -1)) for name, a in policies.items()}

    def model(self, dialect: str) -> CvxpyModel | None:
        """The SOCP search for ``"cvxpy"``; None for other dialects."""
        if dialect != "cvxpy":
            return None
        from optisolve.problems.cell_free.convex import CellFreeModel

        return CellFreeModel(self.beta_snr, self.gamma_snr)

    def objective_torch(self, x: torch.Tensor) -> torch.Tensor:
        """The objective, differentiable almost everywhere (not where two users are worst).

        Args:
            x: Tensor [n, M K].

        Returns:
            Tensor [n, 1], bit/s/Hz, the values of `evaluate_twin`.
        """
        import torch

        a = x.reshape(x.shape[0], *self.beta.shape)
        root = torch.as_tensor(self._root_gamma.copy(), dtype=x.dtype, device=x.device)
        beta = torch.as_tensor(self.beta_snr.copy(), dtype=x.dtype, device=x.device)
        signal = (root * a).sum(dim=1)
        interference = ((a * a).sum(dim=2, keepdim=True) * beta).sum(dim=1) + 1.0
        return torch.log1p((signal**2 / interference).min(dim=1, keepdim=True).values) / math.log(2.0)

    def constraints_torch(self, x: torch.Tensor) -> torch.Tensor:
        """The power constraints as differentiable functions, tensor [n, M]; x as in `objective_torch`."""
        a = x.reshape(x.shape[0], *self.beta.shape)
        return (a * a).sum(dim=2) - 1.0

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.cell_free import kernels

        F, G = np.empty((X.shape[0], 1)), np.empty((X.shape[0], self.beta.shape[0]))
        kernels.evaluate(self.beta_snr, self._root_gamma, X, F, G)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        F, G = model.evaluate(self.beta_snr, self.gamma_snr, X)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _project(self, X: FloatArray) -> FloatArray:
        return model.project(self.beta.shape, X)


_ENTRIES = 160
"""Signal-to-noise ratios that are listed; of more, only the strongest access points of every user are."""
_STRONGEST = 4


def _in_words(beta_snr: FloatArray) -> Description:
    """The cell in words.

    Args:
        beta_snr: float64 [M, K], SNR of user k from access point m at full power, linear.
    """
    M, K = beta_snr.shape
    snr_db = 10.0 * np.log10(beta_snr)
    shown = M if M * K <= _ENTRIES else _STRONGEST
    facts = []
    for k in range(K):
        best = np.argsort(-snr_db[:, k], kind="stable")[:shown]
        told = ", ".join(f"ap{m} {snr_db[m, k]:.1f}" for m in best)
        facts.append(f"user{k}: SNR [dB] by access point, strongest first: {told}")
    return Description(
        f"{M} access points serve {K} users together. Choose the amplitude with which every access point serves every "
        "user, so that the worst user's rate is as large as possible.",
        constraints=("The squared amplitudes of an access point add up to at most 1 (its full power).",),
        facts=tuple(facts),
        hints=(
            "Signals of several access points add in amplitude; every access point disturbs all users it can reach, by the "
            "sum of its squared amplitudes.",
            "Raising an amplitude helps that user and hurts all others, most those that hear this access point well.",
            "Users with good channels need little; power should go to the worst user until all are equal.",
            "An access point that a user hardly hears should not serve it; one that disturbs more than it helps should "
            "stay below its full power.",
        ),
    )
