"""A real model in a process of its own: protocol properties only, since a tiny model earns no trust."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.errors import LlmError, OptionError, UnknownNameError
from optisolve.llm import catalog
from optisolve.llm.config import LocalLlm, SurrogateLlm, llm_config
from optisolve.llm.session import open_session
from tests.solvers.ledma.test_ledma import Ran

LACKING = catalog.lacking("smollm2-135m")
needs_model = pytest.mark.skipif(bool(LACKING), reason=f"needs the extra [local-llm] and a model: {LACKING}")


@needs_model
def test_a_real_model_gives_valid_distinct_points_and_counts_its_tokens():
    config = llm_config("local")
    runs = [Ran(config, budget=Budget(evaluations=16, llm_calls=2)) for _ in range(2)]
    for ran in runs:
        assert ran.described["provider"] == "local"
        assert ran.described["models_reported"] == ["smollm2-135m"]  # a name, not this machine's path
        assert ran.described["failures"] == {}
        assert ran.operator["style"] == "continuation"
        assert ran.operator["fates"]["rejected"] == ran.operator["fates"]["clipped"] == 0
        assert ran.meter.tokens_in > 100
        assert ran.meter.tokens_out > 20
    assert runs[0].signature == runs[1].signature  # same seed, same texts


@needs_model
def test_what_prompts_share_is_read_once_and_the_same_seed_still_gives_the_same_texts():
    once, again = (Ran(LocalLlm(reuse_prompt=True), budget=Budget(evaluations=16, llm_calls=2)) for _ in range(2))
    assert once.signature == again.signature
    assert once.described["params"]["reuse_prompt"] is True
    assert "reuse_prompt" not in Ran(LocalLlm(), budget=Budget(evaluations=16, llm_calls=1)).described["params"]


@needs_model
def test_the_processor_time_of_the_model_is_told_while_it_runs():
    with open_session(LocalLlm(), BudgetMeter(Budget(llm_calls=1))) as session:
        used = session.processor_s
        assert (used is not None) == sys.platform.startswith("linux")
        assert used is None or 0.0 < used < 600.0  # the weights were read
    assert session.processor_s is None


def test_several_slots_and_shared_prompts_are_refused():
    with pytest.raises(OptionError, match=r"slots.*1 with reuse_prompt"):
        LocalLlm(reuse_prompt=True, slots=2)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


@needs_model
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_server_does_not_outlive_its_parent(how):
    code = (
        "import time\n"
        "from optisolve.core.budget import *\n"
        "from optisolve.llm.config import llm_config\n"
        "from optisolve.llm.session import open_session\n"
        "with open_session(llm_config('local'), BudgetMeter(Budget())) as s:\n"
        "    print(s._client._process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert _alive(child)
    parent.send_signal(how)
    parent.wait(timeout=30)
    end = time.monotonic() + 10
    while _alive(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _alive(child)


def test_auto_takes_the_stand_in_with_one_line_that_names_the_cure(monkeypatch):
    monkeypatch.setattr(catalog, "lacking", lambda name, gguf="": "the package xllamacpp is not installed")
    session = open_session(llm_config("auto"), BudgetMeter(Budget()))
    assert session.provider == "surrogate"
    assert session.notice.startswith("surrogate: no language model was called")
    assert "pip install 'optisolve[local-llm]' && optisolve models fetch smollm2-135m" in session.notice
    assert "\n" not in session.notice
    monkeypatch.setattr(catalog, "lacking", lambda name, gguf="": "")
    config, notice = llm_config("auto").resolve()
    assert isinstance(config, LocalLlm)
    assert notice == ""
    assert not isinstance(config, SurrogateLlm)


@needs_model
def test_altered_weights_are_refused(monkeypatch, tmp_path):
    broken = tmp_path / "weights.gguf"
    broken.write_bytes(b"GGUF and nothing else")
    monkeypatch.setattr(catalog, "locate", lambda model: broken)
    with pytest.raises(LlmError, match="expected b179c9523d0e"):
        open_session(llm_config("local"), BudgetMeter(Budget()))


@needs_model
def test_a_file_that_is_no_model_is_a_clear_error(tmp_path):
    meter = BudgetMeter(Budget())
    with pytest.raises(LlmError, match="no such file"):
        open_session(llm_config("local", gguf=str(tmp_path / "absent.gguf")), meter)
    text = tmp_path / "text.gguf"
    text.write_text("hello")
    with pytest.raises(LlmError, match="not a GGUF file"):
        open_session(llm_config("local", gguf=str(text)), meter)
    text.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(LlmError, match="did not start"):
        open_session(llm_config("local", gguf=str(text)), meter).__enter__()


def test_known_models_have_licences_and_one_source_each():
    for model in catalog.MODELS:
        assert model.licence
        assert bool(model.package) != bool(model.repo)
        assert model.source
    with pytest.raises(UnknownNameError, match="Did you mean 'smollm2-135m'"):
        catalog.known_model("smollm-135m")


def test_a_download_is_checked_and_its_hash_kept(monkeypatch, tmp_path):
    """A hub stands in as a file:// address; the file is altered afterwards and refused."""
    content = b"GGUF" + b"x" * 1000
    source = tmp_path / "hub.gguf"
    source.write_bytes(content)
    monkeypatch.setenv("OPTISOLVE_MODELS", str(tmp_path / "cache"))
    original = catalog.urllib.request.urlopen
    monkeypatch.setattr(catalog.urllib.request, "urlopen", lambda url, timeout: original(source.as_uri()))
    path = catalog.fetch("qwen2.5-0.5b")
    assert catalog.weights("qwen2.5-0.5b").sha256 == hashlib.sha256(content).hexdigest()
    path.write_bytes(content + b"!")
    os.utime(path, ns=(1, 1))
    with pytest.raises(LlmError, match="Delete it and fetch it again"):
        catalog.weights("qwen2.5-0.5b")
