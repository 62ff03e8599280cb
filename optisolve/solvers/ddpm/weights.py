"""Trained weights: where they are, what they are, how they are read and written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from optisolve.content import content_dir, named_file, only_shipped
from optisolve.core.documents import Json, JsonObject, write_atomic
from optisolve.core.errors import MissingDependency, SolverError

if TYPE_CHECKING:
    from optisolve.solvers.ddpm.forward import Forward, Parts
    from optisolve.solvers.ddpm.networks import Denoiser

__all__ = ["WEIGHTS_FILE", "Weights", "find_weights", "is_shipped", "load_weights", "save_weights", "shipped", "weights_digest"]

WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True, eq=False, slots=True)
class Weights:
    """Weights with their papers; `forward` and `denoiser` make a network of them.

    Attributes:
        folder: Where they are.
        kind: Class of the network, one of `optisolve.solvers.ddpm.networks`.
        config: The network's arguments.
        name: Name or folder they were loaded by.
        sha256: Hash of the weights file.
        card: The card that lies beside it; empty when there is none.
    """

    folder: Path
    kind: str
    config: JsonObject
    name: str
    sha256: str
    card: JsonObject

    def parts(self) -> Parts:
        """Tensors by name, each to be checked and taken once.

        Raises:
            SolverError: The file cannot be read.
        """
        return _parts(self.folder / WEIGHTS_FILE, self.kind, self.config)

    def forward(self) -> Forward:
        """The network in numpy.

        Raises:
            SolverError: The file cannot be read, or its tensors are not those of the network.
        """
        return _forward(_File.now(self.folder / WEIGHTS_FILE), self.kind, json.dumps(self.config, sort_keys=True))

    def denoiser(self, device: str = "cpu") -> Denoiser:
        """The network in torch, for training and for a CUDA device, in evaluation mode.

        Raises:
            SolverError: There is no such device.
            MissingDependency: The extra is not installed.
        """
        missing = [name for name in ("torch", "diffusers") if find_spec(name) is None]
        if missing:
            raise MissingDependency(", ".join(missing), extra="diffusion")
        from optisolve.solvers.ddpm import networks

        cls: type[Denoiser] = getattr(networks, self.kind)
        network: Denoiser = cls.from_pretrained(str(self.folder), low_cpu_mem_usage=False)
        return network.to(networks.pick_device(device)).eval()  # type: ignore[no-any-return]  # diffusers has no types


@cache
def shipped() -> tuple[str, ...]:
    """Names of the weights that come with optisolve."""
    return tuple(sorted(path.parent.name for path in _folder().glob(f"*/{WEIGHTS_FILE}")))


def is_shipped(name: str) -> bool:
    """True for a name that stands for weights that come with optisolve."""
    return name == "auto" or name in shipped()


def weights_digest(name: str, family: str) -> dict[str, str] | None:
    """Name and SHA-256 of some weights that are on this machine, as records carry them; None when they are not."""
    folder = find_weights(name, family) or _from_hub(name, local=True)
    if folder is None:
        return None
    told = family if name == "auto" else folder.name if Path(name).exists() else name  # a record holds no path of a machine
    return {"name": told, "sha256": _sha256(_File.now(folder / WEIGHTS_FILE))}


def find_weights(name: str, family: str) -> Path | None:
    """Folder of some weights, None when nothing of that name is here.

    Args:
        name: ``auto`` for the shipped weights of the family, the name of shipped weights, or a folder.
        family: The problem's registry name.

    Raises:
        OptisolveError: A folder that does not come with optisolve, while an audit is under way.
    """
    wanted = family if name == "auto" else name
    if wanted in shipped():
        return _folder() / wanted
    return Path(name) if name != "auto" and (named_file(name, "ddpm.weights") / WEIGHTS_FILE).is_file() else None


def load_weights(name: str, family: str, kinds: tuple[str, ...] = ()) -> Weights:
    """Find weights and read their papers.

    Args:
        name: As `find_weights`, or the id of a repository on the Hugging Face hub (``owner/name``).
        family: The problem's registry name.
        kinds: Classes of `networks` that the weights may be of; those of ``ddpm`` by default.

    Raises:
        SolverError: There are no such weights, or they are of another family or class.
    """
    from optisolve.solvers.ddpm.forward import NETWORKS

    folder = find_weights(name, family) or _from_hub(name)
    if folder is None:
        raise SolverError(
            f"ddpm: no weights '{name}' for {family}. Shipped: {', '.join(shipped()) or 'none'}. Train some with: "
            f"optisolve train solver=ddpm problem={family}, and give their folder as solver.weights=FOLDER."
        )
    config = _document(folder, "config.json")
    if config is None:
        raise SolverError(f"ddpm: {folder} holds weights but no config.json, which says of which network they are.")
    kind, known = str(config.get("_class_name")), kinds or NETWORKS
    if kind not in known:
        raise SolverError(f"ddpm: {folder} holds a '{kind}'; expected one of {', '.join(known)}.")
    card = _document(folder, "card.json") or {}
    if card.get("family", family) != family:
        raise SolverError(f"ddpm: the weights '{name}' are for {card['family']}, this problem is {family}.")
    return Weights(folder, kind, config, name if name != "auto" else family, _sha256(_File.now(folder / WEIGHTS_FILE)), card)


def save_weights(network: Denoiser, folder: Path, card: JsonObject) -> Path:
    """Write a denoiser and its card; ``card.json`` gets the hash of the weights."""
    network.save_pretrained(folder, safe_serialization=True)
    digest = _sha256(_File.now(folder / WEIGHTS_FILE))
    write_atomic(folder / "card.json", json.dumps({**card, "sha256": digest}, indent=1).encode() + b"\n")
    return folder


def _folder() -> Path:
    return content_dir("solvers") / "ddpm" / "weights"


class _File(NamedTuple):
    """A file as it is now: what was read of it is remembered as long as age and size stay."""

    path: Path
    modified_ns: int
    size: int

    @classmethod
    def now(cls, path: Path) -> Self:
        """The file at a path."""
        stat = path.stat()
        return cls(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _forward(file: _File, kind: str, config: str) -> Forward:
    """The network in a file."""
    from optisolve.solvers.ddpm.forward import forward_of

    return forward_of(_parts(file.path, kind, json.loads(config)))


def _parts(file: Path, kind: str, config: JsonObject) -> Parts:
    """The tensors in a file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from optisolve.solvers.ddpm.forward import Parts

    try:
        arrays = load(file.read_bytes())
    except (SafetensorError, KeyError, TypeError, ValueError) as error:  # the last three: numbers that numpy does not know
        raise SolverError(f"ddpm: {file} cannot be read as weights in float32 ({error}).") from error
    return Parts(str(file.parent), kind, arrays, config)


@lru_cache(maxsize=32)
def _sha256(file: _File) -> str:
    return hashlib.sha256(file.path.read_bytes()).hexdigest()


def _from_hub(name: str, *, local: bool = False) -> Path | None:
    """Folder of a repository's weights in the hub's cache; None for what is no id of a repository, and during an audit.

    Args:
        name: ``owner/name``.
        local: Ask nobody, look only at what was fetched before.
    """
    if only_shipped() or name.count("/") != 1 or Path(name).exists():
        return None
    if find_spec("huggingface_hub") is None:
        if local:
            return None
        raise MissingDependency(f"huggingface_hub, which fetches the weights '{name}'", extra="diffusion")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["config.json", "card.json", WEIGHTS_FILE], local_files_only=local))
    except HFValidationError:
        return None
    except (OSError, HfHubHTTPError) as error:
        if local and isinstance(error, LocalEntryNotFoundError):
            return None
        raise SolverError(f"ddpm: the weights '{name}' cannot be fetched from the hub ({error}).") from error


def _document(folder: Path, name: str) -> JsonObject | None:
    """A JSON object that lies beside weights; None where there is none.

    Raises:
        SolverError: The file holds something else.
    """
    file = folder / name
    if not file.is_file():
        return None
    try:
        found: Json = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SolverError(f"ddpm: {file} is no JSON ({error}).") from error
    if not isinstance(found, dict):
        raise SolverError(f"ddpm: {file} must hold an object.")
    return found
