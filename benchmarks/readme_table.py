"""README's tables of results, from the leaderboard's own table; nothing in them is written by hand.

    python benchmarks/readme_table.py [--check]

Rewrites what stands between the two marks in README.md; with ``--check`` it only says whether that is up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BEGIN = "<!-- core results: written by benchmarks/readme_table.py -->"
END = "<!-- end of core results -->"
BESIDE = ("ledma_surrogate", "moead_de", "random_search", "null")
"""Solvers that every line shows beside the best one."""
TOP = 8
TIERS = ("self_reported", "verified", "reproduced")


def tables(board: Mapping[str, Any], suite: str = "core") -> str:
    """Markdown of both tables.

    Args:
        board: Content of ``benchmarks/leaderboard/table.json``.
        suite: Which suite.
    """
    (found,) = (item for item in board["suites"] if item["name"] == suite)
    entries = found["entries"]
    return "\n\n".join([_counts(found, entries), _overall(found, entries), _problems(found, entries)])


def _counts(found: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
    runs, again = (sum(e["records"] for e in entries if e["tier"] in tiers) for tiers in (TIERS, TIERS[-1:]))
    what = f"{len(found['problems'])} problems, {len(entries)} solvers, {runs:,} records"
    return f"{what}; {again:,} of them gave the same hash again."


def _overall(found: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
    ranked = [entry for entry in entries if entry["rank"] is not None][:TOP]
    lines = ["| rank | solver | mean loss | problems treated | evaluations | model calls |", "|---|---|---|---|---|---|"]
    for entry in ranked:
        treated = f"{len(entry['problems'])} of {len(found['problems'])}"
        calls = f"{float(entry['llm_calls']):.0f}" + (" (surrogate)" if (entry["llm"] or "").startswith("surrogate") else "")
        name, loss = f"`{entry['solver']}`", float(entry["loss"])
        lines.append(f"| {entry['rank']} | {name} | {loss:.3f} | {treated} | {float(entry['evaluations']):,.0f} | {calls} |")
    return "\n".join(lines)


def _problems(found: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"| problem | best | its loss | {' | '.join(f'`{name}`' for name in BESIDE)} |",
        "|---|---|---|" + "---|" * len(BESIDE),
    ]
    for problem in found["problems"]:
        losses = {
            entry["solver"]: float(entry["problems"][problem]["loss"])
            for entry in entries
            if problem in entry["problems"] and entry["problems"][problem]["rank"] is not None
        }
        least = min(losses.values())
        best = sorted(name for name, loss in losses.items() if loss == least)
        told = ", ".join(f"`{name}`" for name in best[:2]) + (f" and {len(best) - 2} more" if len(best) > 2 else "")
        beside = " | ".join(f"{losses[name]:.3f}" if name in losses else "–" for name in BESIDE)
        lines.append(f"| `{problem}` | {told} | {least:.3g} | {beside} |")
    return "\n".join(lines)


def renewed(readme: str, board: Mapping[str, Any]) -> str:
    """README with its tables made anew."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{tables(board)}\n\n{END}{tail}"


def main() -> int:
    """Write or check README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when README is out of date")
    options = parser.parse_args()
    path = ROOT / "README.md"
    old = path.read_text(encoding="utf-8")
    new = renewed(old, json.loads((ROOT / "benchmarks" / "leaderboard" / "table.json").read_text(encoding="utf-8")))
    if options.check:
        print("README is up to date" if new == old else "README is out of date: python benchmarks/readme_table.py")
        return int(new != old)
    path.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
