"""Tables of results in docs, from the leaderboard's own table and the runs by budgets; nothing in them is written by hand.

    python benchmarks/readme_table.py [--check]

Rewrites what stands between the marks ``<!-- NAME results: ... -->`` and ``<!-- end of NAME results -->`` of the pages, where
NAME is a suite or a table of ``benchmarks/quality/budget_runs/tables.py``; with ``--check`` it only says whether they are up to
date.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optisolve.trust.board import Board
from optisolve.trust.summary import TrackSummary, summaries, summary_of

ROOT = Path(__file__).parents[1]
PAGES = {
    **dict.fromkeys(("exact", "evolutionary", "real_time", "large"), "docs/benchmark.md"),
    "wired": "docs/networks.md",
    "dynamic": "docs/episodes.md",
    "llm": "docs/language_models.md",
    "sampler": "docs/diffusion.md",
    "game": "docs/appendix/games.md",
    "gates": "docs/appendix/moe.md",
    "expensive": "docs/budgets.md",
}
"""Where the results of a suite stand."""
BUDGETS = "docs/budgets.md"
"""Where the tables of runs by budgets stand."""
BESIDE = {
    "exact": ("moe", "cpsat", "cvxpy", "scipy_local", "random_search", "null"),
    "evolutionary": ("ledma_no_model", "moe", "moead_de", "nsga2", "sms_emoa", "random_search", "null"),
    "real_time": ("moe", "ddpm", "ddpm_null", "wmmse", "rule", "random_search", "null"),
    "large": ("moe", "wmmse", "dual_decomposition", "moead_de", "random_search", "null"),
    "wired": ("weight_search", "moe", "ledma_surrogate", "nsga2", "random_search", "null"),
    "dynamic": ("moe_cold", "moe_warm", "moead_de_cold", "moead_de_warm", "weight_search_cold", "weight_search_warm"),
    "llm": ("ledma_local", "ledma_placebo", "ledma_surrogate", "ledma_control_de", "moead_de", "null"),
    "sampler": ("ddpm", "ddpm_null", "ddpm_raw", "ddpm_null_raw", "wmmse", "random_search"),
    "game": ("game_local", "best_response", "regret_matching", "random_agents", "null"),
    "gates": ("moe", "moe_rule", "moe_local", "moead_de", "null"),
    "expensive": ("moe", "parego", "ddpm", "moead_de", "botorch", "random_search", "null"),
}
"""Solvers that every line of a suite shows beside the best one."""
REGIMES = {
    "expensive": "few evaluations",
    "evolutionary": "thousands of evaluations",
    "real_time": "milliseconds",
    "large": "large networks",
    "exact": "proofs",
    "wired": "wired networks",
    "dynamic": "networks that move",
    "llm": "language models",
}
"""Tracks in README, one per regime, in this order."""
TRACKS = "docs/submission.md"
"""Where the table of tracks stands."""
NO_TRACK = ("smoke",)
"""Suites that ask no question of a user: the table of tracks leaves them out."""
TOP = 8
NOTHING = (
    "*No records of suite `{suite}` are published at present; this table is made again when they are "
    "(`python benchmarks/readme_table.py`).*"
)
TIERS = ("self_reported", "verified", "reproduced")


def tables(board: Mapping[str, Any], suite: str) -> str:
    """Markdown of a suite's tables: counts, ranks, problems; one line where none of its records is published.

    Args:
        board: Content of ``benchmarks/leaderboard/table.json``.
        suite: Which suite.
    """
    found = next((item for item in board["suites"] if item["name"] == suite), None)
    if found is None or not found["entries"]:
        return NOTHING.format(suite=suite)
    entries = found["entries"]
    return "\n\n".join([_counts(found, entries), _overall(found, entries), _problems(found, entries, BESIDE[suite])])


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


def _problems(found: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], others: Sequence[str]) -> str:
    lines = [
        f"| problem | measured to | best | its loss | {' | '.join(f'`{name}`' for name in others)} |",
        "|---|---|---|---|" + "---|" * len(others),
    ]
    for problem in found["problems"]:
        losses = {
            entry["solver"]: float(entry["problems"][problem]["loss"])
            for entry in entries
            if problem in entry["problems"] and entry["problems"][problem]["rank"] is not None
        }
        if not losses:
            lines.append(f"| `{problem}` | – | – | – |{' – |' * len(others)}")
            continue
        least = min(losses.values())
        best = sorted(
            (entry["solver"] for entry in entries if entry["problems"].get(problem, {}).get("rank") == 1),
            key=lambda name: (losses[name], name),
        )
        told = ", ".join(f"`{name}`" for name in best[:2]) + (f" and {len(best) - 2} more" if len(best) > 2 else "")
        beside = " | ".join(f"{losses[name]:.3f}" if name in losses else "–" for name in others)
        yardsticks = {e["problems"][problem]["measured_to"] for e in entries if problem in e["problems"]} - {""}
        measured = " or ".join(sorted(yardsticks))
        lines.append(f"| `{problem}` | {measured} | {told} | {least:.3g} | {beside} |")
    return "\n".join(lines)


def renewed(page: str, board: Mapping[str, Any], suite: str) -> str:
    """A page with the tables of a suite made anew.

    Args:
        page: Its text, with both marks.
        board: Content of ``benchmarks/leaderboard/table.json``.
        suite: Which suite.
    """
    return _between(page, suite, tables(board, suite))


def _between(page: str, name: str, text: str) -> str:
    begin = f"<!-- {name} results: written by benchmarks/readme_table.py -->"
    end = f"<!-- end of {name} results -->"
    if begin not in page or end not in page.partition(begin)[2]:
        sys.exit(f"the page with the results of {name} lacks their two marks; put them back: {begin} and {end}")
    head, _, rest = page.partition(begin)
    _, _, tail = rest.partition(end)
    return f"{head}{begin}\n\n{text}\n\n{end}{tail}"


def by_track(board: Mapping[str, Any]) -> str:
    """Markdown of the published tracks, a line each: the best solver, the trivial answers, the best of other projects.

    Args:
        board: Content of ``benchmarks/leaderboard/table.json``.
    """
    found = [item for item in summaries(Board.model_validate(board)) if item.name not in NO_TRACK] if board["suites"] else []
    if not found:
        return "*No track has published records at present (`python benchmarks/readme_table.py` writes this table).*"
    headings = ("track", "what it asks", "best", "its mean loss", "trivial answers", "best of other projects", "its mean loss")
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for item in found:
        best, peer = ", ".join(f"`{name}`" for name in item.best) or "–", f"`{item.peer}`" if item.peer else "–"
        losses = ("–" if loss is None else f"{loss:.3f}" for loss in (item.loss, item.null, item.peer_loss))
        own, null, other = losses
        null = null if item.of_solvers or item.null is None else f"{null} ({item.trivial})"
        over = f" (mean over {', '.join(item.times)} ms)" if item.times else ""
        lines.append(f"| {item.name}{over} | {item.asks} | {best} | {own} | {null} | {peer} | {other} |")
    return "\n".join(lines)


def by_regime(board: Mapping[str, Any]) -> str:
    """Markdown of README's table: the published tracks of `REGIMES`, a line each; "" stands for a figure that nobody made.

    Args:
        board: Content of ``benchmarks/leaderboard/table.json``.
    """
    found = {suite.name: suite for suite in Board.model_validate(board).suites if suite.entries} if board["suites"] else {}
    lines = ["| track | best | trivial answers | best of other projects |", "|---|---|---|---|"]
    for name, regime in REGIMES.items():
        if name not in found:
            continue
        whole = summary_of(found[name])
        cells = zip(*(_regime_cells(summary_of(found[name], at)) for at in whole.times or (None,)), strict=True)
        after = f", after {', '.join(whole.times)} ms" if whole.times else ""
        lines.append(f"| {regime} (`{name}`{after}) | {' | '.join('; '.join(told) for told in cells)} |")
    return "\n".join(lines) if len(lines) > 2 else "*No track has published records at present.*"


def _regime_cells(item: TrackSummary) -> tuple[str, str, str]:
    """Best, trivial answers and best of other projects, each with its loss."""
    more = f" and {len(item.best) - 2} more" if len(item.best) > 2 else ""
    best = _with_loss(", ".join(f"`{solver}`" for solver in item.best[:2]) + more, item.loss)
    trivial = _with_loss(f"`{item.trivial}`" if item.of_solvers else item.trivial, item.null)
    return best, trivial, _with_loss(f"`{item.peer}`", item.peer_loss) if item.peer else ""


def _with_loss(name: str, loss: float | None) -> str:
    return "" if loss is None else f"{name} {loss:.3f}".replace(" 0.", " .")


def by_budget() -> list[tuple[str, str, str]]:
    """Page, name and text of every table of runs by budgets."""
    sys.path.append(str(ROOT / "benchmarks" / "quality"))
    from budget_runs.measuring import read_results
    from budget_runs.tables import TABLES, brief

    frame = read_results()
    return [(BUDGETS, name, table(frame)) for name, table in TABLES.items()] + [("README.md", "brief", brief(frame))]


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a page is out of date")
    options = parser.parse_args()
    file = ROOT / "benchmarks" / "leaderboard" / "table.json"
    board = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"suites": []}
    told = [(page, suite, tables(board, suite)) for suite, page in PAGES.items()] + by_budget()
    told += [(TRACKS, "track", by_track(board)), ("README.md", "tracks", by_regime(board))]
    stale = []
    for page in dict.fromkeys(page for page, _, _ in told):
        path = ROOT / page
        old = new = path.read_text(encoding="utf-8")
        for _, name, text in (item for item in told if item[0] == page):
            new = _between(new, name, text)
        if new != old:
            stale.append(page)
            if not options.check:
                path.write_text(new, encoding="utf-8")
    if options.check:
        print(
            f"out of date: {', '.join(stale)}; run python benchmarks/readme_table.py" if stale else "all tables are up to date"
        )
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
