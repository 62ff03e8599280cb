"""``python -m optisolve.testing.llm_server``: the misbehaving endpoint as a program of its own."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections.abc import Sequence

from optisolve.core.errors import OptisolveError, UnknownNameError
from optisolve.testing.llm_server import Call, Fault, LlmServer, outage

_EPILOG = """examples:
  python -m optisolve.testing.llm_server --port 8000
  python -m optisolve.testing.llm_server --port 8000 --fault timeout=0.05 --fault truncated=0.1 --latency 0.3
  python -m optisolve.testing.llm_server --port 8000 --outage 20:40      # down for calls 20 to 40
  python -m optisolve.testing.llm_server --list                          # all faults
then, in another window:
  optisolve run solver=ledma llm=openai llm.base_url=http://127.0.0.1:8000/v1 llm.api_key_env=
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C; then say how often each fault was served.

    Args:
        arguments: Words of the command line; None takes them from the process.

    Returns:
        Exit code: 0 ok, 1 error, 130 interrupted twice.
    """
    options = _parser().parse_args(arguments)
    if options.list:
        _say("".join(f"{fault:<14} {fault.meaning}\n" for fault in Fault))
        return 0
    try:
        with _server(options) as server:
            with contextlib.suppress(KeyboardInterrupt):  # who has read the greeting may end it, and wants the summary
                _greet(server, options)
                threading.Event().wait()
            _say(_summary(server))
    except KeyboardInterrupt:  # a second one while the server closes
        return 130
    except OptisolveError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except OSError as error:
        hint = "Try --port 0, which takes a free one."
        sys.stderr.write(f"error: cannot serve on port {options.port}: {error.strerror}. {hint}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m optisolve.testing.llm_server",
        description="An OpenAI-compatible endpoint on loopback that misbehaves on demand.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="port to serve on (default: a free one)")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="NAME[=CHANCE]", help="chance 1 when left out; repeatable"
    )
    parser.add_argument("--outage", metavar="FIRST:LAST", help="answer 503 to these calls, counted from 0")
    parser.add_argument("--seed", type=int, default=0, help="changes all draws (default 0)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds before every answer (default 0)")
    parser.add_argument("--tokens-per-s", type=float, metavar="N", help="completion tokens per second (default: all at once)")
    parser.add_argument("--retry-after", type=float, default=0.05, metavar="S", help="what retry_after asks for (default 0.05)")
    parser.add_argument("--capacity", type=int, metavar="K", help="429 above K requests at the same time")
    parser.add_argument("--model", default="loopback-model", help="name of the model (default loopback-model)")
    parser.add_argument("--no-usage", action="store_true", help="report no token counts")
    parser.add_argument("--cached-share", type=float, default=0.0, metavar="X", help="share of the prompt reported as cached")
    parser.add_argument("--quiet", action="store_true", help="no line per call")
    parser.add_argument("--list", action="store_true", help="print all faults and what they do")
    return parser


def _server(options: argparse.Namespace) -> LlmServer:
    script = outage(*_interval(options.outage)) if options.outage else ()
    return LlmServer(
        script=script,
        faults=dict(_fault(text) for text in options.fault),
        seed=options.seed,
        latency_s=options.latency,
        tokens_per_s=options.tokens_per_s,
        retry_after_s=options.retry_after,
        capacity=options.capacity,
        model=options.model,
        usage=not options.no_usage,
        cached_share=options.cached_share,
        port=options.port,
    )


def _fault(text: str) -> tuple[Fault, float]:
    name, _, chance = text.partition("=")
    if name not in set(Fault):
        raise UnknownNameError("fault", name, list(Fault))
    try:
        return Fault(name), float(chance or 1.0)
    except ValueError:
        raise OptisolveError(f"--fault {text}: got '{chance}', expected a chance from 0 to 1.") from None


def _interval(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    try:
        return int(first), int(last)
    except ValueError:
        raise OptisolveError(f"--outage {text}: expected FIRST:LAST, e.g. 20:40.") from None


def _greet(server: LlmServer, options: argparse.Namespace) -> None:
    if not options.quiet:
        server.on_call = _tell
    told = ", ".join(f"{fault} {rate:g}" for fault, rate in server.plan.rates.items()) or "none"
    _say(f"serving '{server.model}' at {server.base_url} (faults: {told}); Ctrl-C ends it\n")
    _say(f"  optisolve run solver=ledma llm=openai llm.base_url={server.base_url} llm.api_key_env=\n")


def _tell(call: Call) -> None:
    _say(f"call {call.number} {'chat' if call.chat else 'completion'}: {call.fault}\n")


def _summary(server: LlmServer) -> str:
    counts = ", ".join(f"{count} {fault}" for fault, count in sorted(server.served.items()))
    return f"\n{server.calls} calls, at most {server.max_in_flight} at a time: {counts or 'nothing was asked'}\n"


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
