"""Training: labels that do not leak, resume to the last bit, a model that beats its null sampler."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [diffusion]")
pytest.importorskip("diffusers", reason="needs the extra [diffusion]")

from optisolve.core.errors import OptionError, SolverError, UnknownNameError  # noqa: E402
from optisolve.solvers.ddpm.factory import (  # noqa: E402
    TRAINING_SEEDS,
    VALIDATION_SEEDS,
    check_split,
    make_shards,
    read_shard,
    recipe_bridge,
)
from optisolve.solvers.ddpm.losses import Losses  # noqa: E402
from optisolve.solvers.ddpm.noise import case_keys  # noqa: E402
from optisolve.solvers.ddpm.pipeline import draw  # noqa: E402
from optisolve.solvers.ddpm.recipe import load_recipe, recipe_names  # noqa: E402
from optisolve.solvers.ddpm.sampler import Sampling  # noqa: E402
from optisolve.solvers.ddpm.session import train  # noqa: E402
from optisolve.solvers.ddpm.training import Trainer, make_network  # noqa: E402
from optisolve.solvers.ddpm.weights import load_weights  # noqa: E402
from tests.solvers.ddpm.helpers import cases_of, shards_of, tiny_recipe  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():  # type: ignore[no-untyped-def]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def labels(tmp_path_factory):  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("labels")
    shards_of(tiny_recipe(), folder)
    return folder


def test_a_short_training_beats_its_null_sampler(tmp_path: Path) -> None:
    """End to end: labels, imitation, label-free steps, weights, samples; equal number of samples, no polish on either side."""
    recipe = tiny_recipe(**{"steps.imitation": 150, "steps.label_free": 100, "labels.shards": 4})
    trained = train(recipe, tmp_path, device="cpu")
    assert trained.finished
    assert trained.card["seconds"]["training"] > 0.0
    network = load_weights(str(trained.folder), "offloading").forward()
    bridge, cases = cases_of("offloading/n10", 64)
    keys, cost = case_keys(0, np.arange(64)), {}
    for name, model in (("ddpm", network), ("null", None)):
        y = draw(bridge, cases, keys, 4, network=model, how=Sampling())
        cost[name] = -bridge.score(cases, bridge.decode(cases, y)).max(axis=1).mean()
    assert cost["ddpm"] < 0.97 * cost["null"]
    curve = (tmp_path / "learning_curve.csv").read_text().splitlines()
    assert curve[0] == "step,loss,decoded,seconds"
    assert len(curve) > 2


def test_resume_is_exact_to_the_last_bit(labels: Path, tmp_path: Path) -> None:
    """The break lies before, the end behind the border between imitation and label-free steps and one validation."""
    recipe = tiny_recipe(**{"steps.imitation": 8, "steps.label_free": 8, "steps.check_every": 5})
    training, validation = shards_of_existing(recipe, labels)
    straight = Trainer(recipe, training, validation, seed=3)
    straight.run()
    broken = Trainer(recipe, training, validation, seed=3)
    broken.run(until=6)
    broken.save(tmp_path)
    fresh = Trainer(recipe, training, validation, seed=3)
    fresh.resume(tmp_path)
    assert fresh.step == 6
    fresh.run()
    for name, values in straight.network.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(values, fresh.network.state_dict()[name]), name  # type: ignore[union-attr]
    for mine, theirs in zip(straight.average.shadow_params, fresh.average.shadow_params, strict=True):
        assert torch.equal(mine, theirs)
    assert [(c.step, c.loss, c.decoded) for c in straight.history] == [(c.step, c.loss, c.decoded) for c in fresh.history]
    other = Trainer(recipe, training, validation, seed=4)
    with pytest.raises(SolverError, match="another recipe or seed"):
        other.resume(tmp_path)


def shards_of_existing(recipe, folder: Path):  # type: ignore[no-untyped-def]
    return make_shards(recipe, folder)


def test_shards_are_remade_alike_by_any_number_of_workers(labels: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    shutil.copytree(labels, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "train-00001")
    (tmp_path / "copy" / "train-00002" / "shard.json").unlink()  # as if the process had died while writing
    told: list[tuple[int, int]] = []
    training, validation = make_shards(recipe, tmp_path / "copy", workers=2, on_shard=lambda *done: told.append(done))
    assert told == [(3, 4), (4, 4)]
    for path in [*training, *validation]:
        ours, theirs = read_shard(path), read_shard(labels / path.name)
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_training_and_validation_share_no_instance(labels: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    training, validation = make_shards(recipe, labels)
    assert VALIDATION_SEEDS + 10_000 * recipe.labels.shard_size < TRAINING_SEEDS
    leaked = tmp_path / "leaked"
    leaked.mkdir()
    told = json.loads((training[0] / "shard.json").read_text())
    (leaked / "shard.json").write_text(json.dumps({**told, "instances": told["instances"][-1:]}))
    with pytest.raises(SolverError, match="1 validation instance"):
        check_split(training, [*validation, leaked])


def test_labels_of_another_recipe_are_refused(labels: Path) -> None:
    with pytest.raises(SolverError, match="another recipe"):
        make_shards(tiny_recipe(**{"labels.shard_size": 16}), labels)


def test_recipes_are_checked_as_a_whole() -> None:
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.steps.total > 0
    with pytest.raises(UnknownNameError, match="power_control"):
        load_recipe("power_contrl")
    with pytest.raises(OptionError) as told:
        load_recipe("power_control", {"steps.batch": 0, "steps.sampels": 3})
    assert "batch" in str(told.value)
    assert "sampels" in str(told.value)


def test_a_bad_batch_is_skipped_and_counted(labels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe()
    training, validation = make_shards(recipe, labels)
    trainer = Trainer(recipe, training, validation)
    nothing = trainer.network.null_token  # type: ignore[union-attr]
    monkeypatch.setattr(Losses, "imitation", lambda *_: nothing.sum() * float("nan"))
    before = [p.clone() for p in trainer.network.parameters()]  # type: ignore[union-attr]
    trainer.run(until=2)
    assert trainer.skipped == 2
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.network.parameters(), strict=True))  # type: ignore[union-attr]


def test_a_front_is_refused_where_there_is_one_objective(tmp_path: Path) -> None:
    with pytest.raises(SolverError, match=r"steps\.front=4 needs several objectives; offloading has one"):
        train(tiny_recipe(**{"steps.front": 4}), tmp_path)


def test_mixed_precision_trains_as_well(labels: Path) -> None:
    """Autocast to bfloat16, on the CPU: weights stay float32, no step is lost, and the objective grows as without."""
    recipe = tiny_recipe(**{"steps.imitation": 40, "steps.label_free": 20, "steps.check_every": 30})
    training, validation = make_shards(recipe, labels)
    plain, mixed = (Trainer(recipe, training, validation, seed=1, mixed=mixed) for mixed in (False, True))
    for trainer in (plain, mixed):
        trainer.run()
    assert mixed.skipped == 0
    assert {values.dtype for values in mixed.network.parameters()} == {torch.float32}  # type: ignore[union-attr]
    assert mixed.history[-1].decoded == pytest.approx(plain.history[-1].decoded, abs=0.02)
    assert mixed.history[-1].loss != plain.history[-1].loss  # it was used


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_a_compiled_network_trains_alike(labels: Path) -> None:
    recipe = tiny_recipe(**{"steps.imitation": 6, "steps.label_free": 6, "steps.check_every": 6})
    training, validation = make_shards(recipe, labels)
    plain, compiled = (Trainer(recipe, training, validation, seed=1, compiled=compiled) for compiled in (False, True))
    for trainer in (plain, compiled):
        trainer.run()
    for ours, theirs in zip(plain.history, compiled.history, strict=True):
        assert theirs.loss == pytest.approx(ours.loss, rel=1e-3)
        assert theirs.decoded == pytest.approx(ours.decoded, rel=1e-3)


def test_tensorboard_holds_the_loss_of_every_step_and_every_validation(labels: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard, which no extra brings"
    )
    recipe = tiny_recipe(**{"steps.imitation": 6, "steps.label_free": 4, "steps.check_every": 5})
    trained = train(recipe, tmp_path, labels=labels, device="cpu", tensorboard=True)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 11))
    decoded = {event.step: event.value for event in events.Scalars("decoded")}
    assert list(decoded) == [5, 10]
    assert max(decoded.values()) == pytest.approx(trained.card["decoded"], rel=1e-6)


@pytest.mark.parametrize("name", recipe_names())
def test_no_part_of_a_training_step_stays_on_the_processor(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both phases, backward: on `meta`, which has no memory, torch refuses tensors of another device, as it does on a GPU."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no such device
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    few = {"labels.shards": 1, "labels.shard_size": 2, "labels.validation_shards": 1, "steps.batch": 2}
    recipe = load_recipe(name, {**few, "steps.imitation": 1, "steps.label_free": 1})
    (shard,), _ = make_shards(recipe, tmp_path)
    batch = {key: np.asarray(values) for key, values in read_shard(shard).items()}
    network, teacher = make_network(recipe).to("meta"), make_network(recipe).to("meta") if recipe.distil else None
    losses = Losses(recipe, network, recipe_bridge(recipe), "meta", teacher)
    for step in (0, 1):
        loss = losses.at(step, batch, np.random.default_rng(0), torch.Generator().manual_seed(0))
        loss.backward()
        assert loss.device.type == "meta"
    assert {values.grad.device.type for values in network.parameters() if values.grad is not None} == {"meta"}
