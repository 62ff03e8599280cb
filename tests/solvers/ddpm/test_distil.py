"""Distillation: a student learns a teacher's chain, and what is wrong with a teacher is said before anything is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [diffusion]")
pytest.importorskip("diffusers", reason="needs the extra [diffusion]")

from optisolve.core.errors import OptionError, SolverError  # noqa: E402
from optisolve.solvers.ddpm.noise import case_keys  # noqa: E402
from optisolve.solvers.ddpm.recipe import load_recipe  # noqa: E402
from optisolve.solvers.ddpm.sampler import Sampling, sample  # noqa: E402
from optisolve.solvers.ddpm.session import train  # noqa: E402
from optisolve.solvers.ddpm.training import Trainer  # noqa: E402
from optisolve.solvers.ddpm.weights import load_weights  # noqa: E402
from tests.solvers.ddpm.helpers import cases_of, tiny_recipe  # noqa: E402

SMALL = {"labels.shards": 3, "labels.shard_size": 32, "steps.label_free": 0, "steps.imitation": 150, "steps.samples": 4}


@pytest.fixture(autouse=True)
def one_thread():  # type: ignore[no-untyped-def]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_student_answers_in_one_call_what_its_teacher_says_in_four(tmp_path: Path) -> None:
    """Noise by noise, on cases that training has not seen; one that learned labels does not know the teacher's answers."""
    taught = {"distil.teacher": "offloading", "distil.steps": 4, "steps.chain_steps": [1]}
    trained = {name: train(tiny_recipe(**SMALL, **keys), tmp_path / name) for name, keys in (("taught", taught), ("plain", {}))}
    bridge, cases = cases_of("offloading/n10", 32)
    keys = case_keys(5, np.arange(32))
    teacher = load_weights("offloading", "offloading")
    wanted = sample(teacher.forward(), bridge, cases, keys, 4, Sampling(steps=4))
    apart = {}
    for name, found in trained.items():
        said = sample(load_weights(str(found.folder), "offloading").forward(), bridge, cases, keys, 4, Sampling(steps=1))
        apart[name] = np.square(said - wanted).mean()
    assert apart["taught"] < 0.7 * apart["plain"]
    assert trained["taught"].card["teacher"] == {"name": "offloading", "sha256": teacher.sha256}
    assert "teacher" not in trained["plain"].card


def test_all_that_is_wrong_with_distil_is_one_error() -> None:
    with pytest.raises(OptionError, match=r"(?s)distil has 2 bad.*did you mean 'teacher'.*steps: got 0"):
        load_recipe("power_control", {"distil.steps": 0, "distil.techer": "power_control"})
    with pytest.raises(OptionError, match="teacher: got '', expected the name of shipped weights, a folder"):
        load_recipe("power_control", {"distil.steps": 2})
    with pytest.raises(OptionError, match="settings by name: teacher, steps"):
        load_recipe("power_control", {"distil": "power_control_wide"})


@pytest.mark.parametrize(
    ("teacher", "told"),
    [
        ("nobody", r"distil\.teacher=nobody: .*no weights 'nobody' for offloading\. Shipped: .*offloading"),
        ("power_control", r"distil\.teacher=power_control: .*are for power_control, this problem is offloading"),
    ],
)
def test_a_teacher_that_cannot_teach_is_named_before_labels_are_made(teacher: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SolverError, match=told):
        train(tiny_recipe(**{"distil.teacher": teacher}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_trainer_takes_no_recipe_with_a_teacher_without_the_teacher() -> None:
    with pytest.raises(SolverError, match="a teacher and the recipe's distil come together"):
        Trainer(tiny_recipe(**{"distil.teacher": "offloading"}), [], [])
