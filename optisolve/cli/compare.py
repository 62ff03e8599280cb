"""``optisolve compare BASE NEW``: a gate on quality for continuous integration."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.markup import escape

from optisolve.cli.display import console, format_number, new_table
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.study.compare import METRICS, Change, compare_records, missing_units, parse_rules, read_units

__all__ = ["compare_command"]

_DEFAULT = "loss:+0.01,hypervolume:-0.005,success:-0.02"
_EXIT_FAILED = 2

_EPILOG = """metrics:
{metrics}

Units pair by scenario, instance, solver and seed. Failures count as worst, and a unit that is gone counts as a failure.
Without --fail-on those of loss:+0.01, hypervolume:-0.005 and success:-0.02 apply that the records have.
Wall-clock never gates: it differs by a factor of two between two runs of the same code on shared machines.

exit codes: 0 nothing got worse than allowed, 1 error, 2 something did
"""


def compare_command(words: Sequence[str]) -> int:
    """Print what changed; 0 when nothing got worse than allowed, 2 when something did."""
    options = _parser().parse_args(list(words))
    if options.alpha is not None and not 0.0 < options.alpha < 1.0:
        raise OptionError("The comparison", [FieldProblem("--alpha", options.alpha, "a number between 0 and 1")])
    rules = parse_rules(options.fail_on or _DEFAULT)
    base, new = read_units(options.base), read_units(options.new)
    if not options.fail_on:
        held = [*base.values(), *new.values()]
        rules = [rule for rule in rules if any(rule.metric.value(record) is not None for record in held)]
    changes = compare_records(base, new, rules, alpha=options.alpha)
    _print(changes, options.alpha)
    gone, added = missing_units(base, new)
    for what, units in (("gone, counted as failures", gone), ("new, not compared", added)):
        if units:
            more = f" and {len(units) - 3} more" if len(units) > 3 else ""
            console.print(f"{len(units)} unit(s) {what}: {escape('; '.join(units[:3]))}{more}", soft_wrap=True)
    failed = [change.rule.metric.name for change in changes if change.failed]
    if failed:
        console.print(f"[bold red]worse than allowed:[/] {', '.join(failed)}")
        return _EXIT_FAILED
    console.print("nothing got worse than allowed", style="green")
    return 0


def _print(changes: Sequence[Change], alpha: float | None) -> None:
    title = "Means over units" + ("" if alpha is None else f"; a rule fails only when p < {alpha:g} as well")
    table = new_table(">metric", ">units", ">before", ">now", ">change", ">+/-", ">p", ">allowed", title=title)
    for change in changes:
        sign = "-" if change.rule.metric.maximize else "+"
        table.add_row(
            change.rule.metric.name,
            str(change.n),
            format_number(change.base),
            format_number(change.new),
            f"{change.new - change.base:+.4g}",
            f"{change.better}/{change.worse}",
            f"{change.p_value:.2g}",
            f"{'[red]FAILED[/]' if change.failed else 'ok'} {sign}{change.rule.allowed:g}",
        )
    console.print(table)
    for change in changes:
        for unit, before, now in change.worst if change.failed else ():
            told = f"{change.rule.metric.name}: {unit}: {format_number(before)} -> {format_number(now)}"
            console.print(f"  {escape(told)}", soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    metrics = "\n".join(
        f"  {m.name:<12} {m.meaning}; {'larger' if m.maximize else 'smaller'} is better" for m in METRICS.values()
    )
    parser = argparse.ArgumentParser(
        prog="optisolve compare",
        description="What got worse between two folders of records.",
        epilog=_EPILOG.format(metrics=metrics),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("base", help="records before")
    parser.add_argument("new", help="records now")
    parser.add_argument("--fail-on", metavar="RULES", help="METRIC:CHANGE,... e.g. loss:+0.01,success:-0.02")
    parser.add_argument("--alpha", type=float, help="a rule fails only when the paired Wilcoxon test has p < ALPHA too")
    return parser
