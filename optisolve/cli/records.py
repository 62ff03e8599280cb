"""What records say and whether it is true: ``verify``, ``replay``, ``explain``, ``report``, ``compare``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt, Lt

from optisolve.cli.display import console, format_number, new_table, print_error, print_json, print_notice, shown, styled
from optisolve.cli.help import entries
from optisolve.cli.progress import Bar, Show, quiet_for
from optisolve.cli.settings import Verb, Word
from optisolve.core.errors import FieldProblem, OptisolveError, RecordError
from optisolve.core.text import printable_lines

if TYPE_CHECKING:
    from optisolve.core.documents import JsonObject
    from optisolve.core.problem import Problem
    from optisolve.registry import Registry
    from optisolve.study.compare import Change
    from optisolve.study.suite import Suite
    from optisolve.trust.audit import Audit

__all__ = ["RUNS", "Compare", "Explain", "MakeReport", "Replay", "Verify", "record_files", "require_runs", "suites_of"]

EXIT_REFUSED = 2
_TOLD = 10
"""What is wrong with an episode, so many lines of it."""

Paths = Annotated[tuple[Path, ...], Word("PATH")]
"""Records: record.json, its folder, or a folder of folders."""

RUNS = (Path("runs"),)
"""Where records are looked for when nothing is said, since that is where they are written."""


@dataclass(frozen=True, slots=True)
class Verify(Verb):
    """Re-evaluate records with independent code, and say which tier was shown.

    Args:
        path: record.json, its folder, or a folder of folders; runs when nothing is said.
        reproduce: Run every record again and compare result_hash.
        effort: Most work spent on making a record's reference again.
        seconds: Longest audit of one record, a second run included; a record that takes longer is refused.
        suite: A suite of yours that records may name; may be given several times.
        problem: Your problem that records are about, FILE.py:NAME; may be given several times. Its file is run.
        json: One JSON object per record instead of text.
        progress: How far it is, on stderr. auto: a bar on a terminal, elsewhere a line every few seconds.

    exit codes: 0 every record holds, 1 error, 2 one is refused
    """

    path: Paths = RUNS
    reproduce: bool = False
    effort: Literal["none", "quick", "normal", "thorough"] = "quick"
    seconds: Annotated[float, Gt(0)] = 600.0
    suite: tuple[Path, ...] = ()
    problem: tuple[str, ...] = ()
    json: bool = False
    progress: Show = "auto"

    def __call__(self) -> int:
        from optisolve.core.reference import Effort
        from optisolve.registry import PROBLEMS, SOLVERS
        from optisolve.trust.audit import AUDIT_LIMITS, Auditor, ReferenceMaker, SuiteBook, audits

        maker = ReferenceMaker(None if self.effort == "none" else Effort(self.effort))
        auditor = Auditor(
            PROBLEMS.beside(*self.problem), SOLVERS, maker, SuiteBook(suites_of(self.suite)), reproduce=self.reproduce or None
        )
        done: list[Audit] = []
        where: dict[str, str] = {}
        files, limits = record_files(self.path), replace(AUDIT_LIMITS, seconds=self.seconds)
        with Bar("verify", "records", len(files), show=quiet_for(self.progress, json=self.json)) as bar:
            for told in audits(auditor, files, limits=limits):
                audit = _once(told, where)
                done.append(audit)
                bar.update(len(done))
                if self.json:
                    print_json(_plain(audit))
                else:
                    console.print(str(audit), style="green" if audit else "red", soft_wrap=True)
        episodes = _episodes_hold(self.path, PROBLEMS.beside(*self.problem), say=not self.json)
        episodes = _chains_hold(files, suites_of(self.suite), say=not self.json) and episodes
        if not self.json:
            console.print(_summary(done), soft_wrap=True)
        return 0 if all(done) and episodes else EXIT_REFUSED


def _episodes_hold(paths: Iterable[Path], problems: Registry[Problem], *, say: bool) -> bool:
    """Whether the episodes at or below the paths hold beside their records; each is told in a line."""
    from optisolve.content import shipped_only
    from optisolve.run.untrusted import printable
    from optisolve.study.episodes import EPISODE_FILE, check_episode

    good = True
    for file in dict.fromkeys(f for path in paths if path.is_dir() for f in sorted(path.rglob(EPISODE_FILE))):
        try:
            with shipped_only():
                found = [str(problem) for problem in check_episode(file, problems)]
        except OptisolveError as error:
            found = [str(error)]
        good = good and not found
        if say or found:
            told = "episode holds" if not found else "episode refused:\n  - " + "\n  - ".join(found[:_TOLD])
            _say(f"{printable(file.parent)}: {told}", aloud=say)
    return good


def _say(text: str, *, aloud: bool) -> None:
    """A line of the report, or of the errors where another program reads the report."""
    if aloud:
        console.print(printable_lines(text), soft_wrap=True)
    else:
        print_error(printable_lines(text))


def _chains_hold(files: Iterable[Path], own: dict[str, Suite], *, say: bool) -> bool:
    """Whether the steps of episodes in suites began with what their memory hands on; each suite is told in a line."""
    from optisolve.run.records import read_record
    from optisolve.run.schema import Record
    from optisolve.study.episodes import check_chains
    from optisolve.study.suite import list_suites, load_suite

    chains: dict[str, list[Path]] = {}
    for file in files:  # OUT/SUITE/UNIT/record.json
        chains.setdefault(file.resolve().parent.parent.name, []).append(file)
    good = True
    for name, members in chains.items():
        suite = own.get(name) or (load_suite(name) if name in list_suites() else None)
        if suite is None or not any(cell.memory for cell in suite.cells):
            continue
        records = list[Record]()
        for file in members:
            with suppress(RecordError):  # refused by its audit
                records.append(read_record(file))
        found = [str(problem) for problem in check_chains(suite, records)]
        good = good and not found
        if say or found:
            told = "episodes hold" if not found else "episodes refused:\n  - " + "\n  - ".join(found[:_TOLD])
            _say(f"suite {name}: {told}", aloud=say)
    return good


def suites_of(files: Iterable[Path]) -> dict[str, Suite]:
    """Suites from files, by name."""
    if not files:
        return {}
    from optisolve.study.suite import load_suite

    return {suite.name: suite for suite in map(load_suite, map(str, files))}


def record_files(paths: Iterable[Path]) -> list[Path]:
    """All record files at or below the paths, each once.

    Raises:
        RecordError: A path without any record.
    """
    from optisolve.run.records import iter_records
    from optisolve.run.untrusted import printable

    files: dict[Path, Path] = {}
    for path in paths:
        require_runs(path)
        found = list(iter_records(path))
        if not found:
            raise RecordError(f"{printable(path)}: no record.json at or below this path.")
        files |= {file.resolve(): file for file in found if file.resolve() not in files}
    return list(files.values())


def require_runs(path: Path) -> None:
    """Say what to do where the usual folder is not there.

    Raises:
        RecordError: It is this folder, and it does not exist.
    """
    if path in RUNS and not path.exists():
        raise RecordError(f"{path}: no such folder here. Give a path with records, or write some first: optisolve run")


def _once(audit: Audit, where: dict[str, str]) -> Audit:
    """The audit, or a refused one when the same record was audited before under another file name.

    Args:
        audit: The audit.
        where: Files by record id, of all so far; written.
    """
    twin = where.get(audit.record_id)
    if twin is None:
        where[audit.record_id] = audit.where
        return audit
    problem = FieldProblem("record_id", audit.record_id, f"a record that counts once; {twin} is the same")
    return replace(audit, problems=(*audit.problems, problem))


def _plain(audit: Audit) -> JsonObject:
    return {
        "record_id": audit.record_id,
        "file": audit.where,
        "holds": bool(audit),
        "tier": audit.tier.value if audit else None,
        "mismatches": len(audit.problems) + audit.further,
        "problems": [{"field": p.field, "given": repr(p.given), "expected": p.expected} for p in audit.problems],
        "notes": list(audit.notes),
        "uncounted": list(audit.uncounted),
    }


def _summary(audits: Sequence[Audit]) -> str:
    from optisolve.trust.audit import Tier

    tiers = [f"{sum(bool(a) and a.tier is tier for a in audits)} {tier.value}" for tier in reversed(Tier)]
    return f"{len(audits)} record(s): {', '.join(tiers)}, {sum(not audit for audit in audits)} refused"


@dataclass(frozen=True, slots=True)
class Replay(Verb):
    """Re-derive a record, language-model replies from its transcript.

    Args:
        path: record.json or its folder.
        problem: Your problem that the record is about, FILE.py:NAME. Its file is run.
        out: Also write the reproduced record into this folder.

    exit codes: 0 the same result_hash, or the same up to rounding, 1 error, 2 another
    """

    path: Annotated[Path, Word("PATH")]
    problem: str = ""
    out: Path | None = None

    def __call__(self) -> int:
        from optisolve.run.untrusted import printable
        from optisolve.trust.replay import replay, tier_of

        replayed = replay(self.path, problem=self.problem or None)
        if self.out is not None:
            console.print(f"record: {replayed.result.save(self.out)!s}", soft_wrap=True)
        tier = tier_of(replayed.result.record).value
        if replayed.same:
            console.print(f"{tier}: result_hash {replayed.result.result_hash}", style="green", soft_wrap=True)
            return 0
        if replayed.rounding:
            console.print(f"{tier} up to rounding: {replayed.reason}", style="green", soft_wrap=True)
            return 0
        why = f"; another platform: {printable(replayed.platform)}" if replayed.platform else ""
        print_error(f"not reproduced: {replayed.reason}{why}")
        return EXIT_REFUSED


@dataclass(frozen=True, slots=True)
class Explain(Verb):
    """Why a mixture of experts answered as it did, from a record's log.

    Args:
        path: record.json or its folder.
        out: Write the page into this file, as Markdown, instead of showing it.
        jsonl: Write the entries of the log into this file, one per line.
    """

    path: Annotated[Path, Word("PATH")]
    out: Path | None = None
    jsonl: Path | None = None

    def __call__(self) -> int:
        from rich.markdown import Markdown

        from optisolve.core.documents import write_atomic
        from optisolve.run.records import read_record
        from optisolve.solvers.moe.log import to_jsonl
        from optisolve.solvers.moe.page import explanation_page

        record = read_record(self.path / "record.json" if self.path.is_dir() else self.path)
        entries = record.used.report.get("explanation")
        if not entries:
            solver = record.solver.name
            raise RecordError(f"{self.path}: the record of {solver} has no explanation; moe and moe_llm write one.")
        if record.sealed().result_hash != record.result_hash:
            told = "field 'result_hash' does not fit the record; it was changed after the run. Run it again."
            raise RecordError(f"{self.path}: {told}")
        page = explanation_page(entries)
        if self.jsonl is not None:
            write_atomic(self.jsonl, to_jsonl(entries).encode())
        if self.out is not None:
            write_atomic(self.out, page.encode())
        if self.out is None and self.jsonl is None:
            console.print(Markdown(shown(page), hyperlinks=False))
        return 0


@dataclass(frozen=True, slots=True)
class MakeReport(Verb):
    """One page with figures, and tables, from records.

    Args:
        path: record.json, its folder, or a folder of folders; runs when nothing is said.
        out: Folder of the report.
        title: Heading of the page.
        alpha: Family-wise error rate of the tests.
        pdf: Also write every figure as a PDF of its own, for papers.
    """

    path: Paths = RUNS
    out: Path = Path("report")
    title: str = "Benchmark report"
    alpha: float = 0.05
    pdf: bool = False

    def __call__(self) -> int:
        from optisolve.study.report import build_report, write_report

        for path in self.path:
            require_runs(path)
        report = build_report(self.path, title=self.title, alpha=self.alpha)
        page = write_report(report, self.out, pdf=self.pdf)
        for sentence in report.summary:
            console.print(sentence, soft_wrap=True)
        for notice in report.notices:
            print_notice(notice)
        for experiment in report.experiments:
            of_this = f"{experiment.name}, " if len(report.experiments) > 1 else ""
            for family in experiment.families:
                console.print(styled(f"{of_this}{family.name}:", "bold"), *family.summary, soft_wrap=True)
        console.print(f"report: {page}{'' if self.pdf else ' (every figure as PDF as well: --pdf)'}", soft_wrap=True)
        return 0


_RULES = "loss:+0.01,hypervolume:-0.005,success:-0.02"


@dataclass(frozen=True, slots=True)
class Compare(Verb):
    """A gate on quality: what got worse between two folders of records.

    Units pair by scenario, instance, solver and seed. Failures count as worst, and a unit that is gone counts as a failure.
    Wall-clock never gates: it differs by a factor of two between two runs of the same code on shared machines.

    Args:
        base: Records before.
        new: Records now.
        fail_on: Rules METRIC:CHANGE,... e.g. loss:+0.01,success:-0.02; without it those of loss:+0.01, hypervolume:-0.005 and
            success:-0.02 apply that the records have.
        alpha: A rule fails only when the paired Wilcoxon test has p < ALPHA too.

    exit codes: 0 nothing got worse than allowed, 1 error, 2 something did
    """

    base: Annotated[Path, Word("BASE")]
    new: Annotated[Path, Word("NEW")]
    fail_on: str = ""
    alpha: Annotated[float, Gt(0), Lt(1)] | None = None

    @classmethod
    def more_help(cls) -> str:
        """The metrics."""
        from optisolve.study.compare import METRICS

        better = {True: "larger is better", False: "smaller is better"}
        return "metrics:\n" + entries((m.name, f"{m.meaning}; {better[m.maximize]}") for m in METRICS.values())

    def __call__(self) -> int:
        from optisolve.study.compare import compare_records, missing_units, parse_rules, read_units

        rules = parse_rules(self.fail_on or _RULES)
        base, new = read_units(self.base), read_units(self.new)
        if not self.fail_on:
            held = [*base.values(), *new.values()]
            rules = [rule for rule in rules if any(rule.metric.value(record) is not None for record in held)]
        changes = compare_records(base, new, rules, alpha=self.alpha)
        _print_changes(changes, self.alpha)
        gone, added = missing_units(base, new)
        for what, units in (("gone, counted as failures", gone), ("new, not compared", added)):
            if units:
                more = f" and {len(units) - 3} more" if len(units) > 3 else ""
                console.print(f"{len(units)} unit(s) {what}: {'; '.join(units[:3])}{more}", soft_wrap=True)
        failed = [change.rule.metric.name for change in changes if change.failed]
        if failed:
            console.print(styled("worse than allowed:", "bold red"), ", ".join(failed))
            return EXIT_REFUSED
        console.print("nothing got worse than allowed", style="green")
        return 0


def _print_changes(changes: Sequence[Change], alpha: float | None) -> None:
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
            styled(f"{'FAILED' if change.failed else 'ok'} {sign}{change.rule.allowed:g}", "red" if change.failed else ""),
        )
    console.print(table)
    for change in changes:
        for unit, before, now in change.worst if change.failed else ():
            told = f"{change.rule.metric.name}: {unit}: {format_number(before)} -> {format_number(now)}"
            console.print(f"  {told}", soft_wrap=True)
