"""An OpenAI-compatible endpoint on loopback that misbehaves on demand, for tests of whatever asks a language model.

    with LlmServer(script=[Fault.RATE_LIMIT, Fault.TRUNCATED], faults={Fault.TIMEOUT: 0.05}) as server:
        config = llm_config("openai", base_url=server.base_url, model=server.model, backoff_s=0.01)
        ...
    assert server.calls == 3

Good answers recombine the points that the prompt shows, with the published statistics of a language-model operator
(13,828 answers behind MOEA/D-LO, Liu et al. 2023, arXiv 2310.12541; the sampler is that of ``llm=surrogate``): they
copy 27.4 % of the coordinates, place 25.4 % outside the parents' range, and stay within the bounds of the schema. They
depend on the request alone, never on timing, so runs against the server are reproducible.

``python -m optisolve.testing.llm_server --help`` serves the same endpoint to a program of any language.
"""

from optisolve.testing.llm_server.faults import Fault, FaultPlan, Script, outage
from optisolve.testing.llm_server.server import Call, LlmServer

__all__ = ["Call", "Fault", "FaultPlan", "LlmServer", "Script", "outage"]
