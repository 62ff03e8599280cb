"""Was the language model needed? The reports in docs/ablation, made by `optisolve ablate`, and the one table of all uses.

    python benchmarks/quality/ablation.py                                    # everything, local model and surrogate
    python benchmarks/quality/ablation.py --llm surrogate                    # minutes, no model
    python benchmarks/quality/ablation.py --problems uav_isac --seeds 5 --evaluations 300
    python benchmarks/quality/ablation.py --plans                            # benchmarks/plans, for docs/worth_a_call.md
    python benchmarks/quality/ablation.py --plans benchmarks/plans/gate-uav_isac-local.yaml    # one of them
    python benchmarks/quality/ablation.py --plans --label qwen --set llm.gguf=FILE    # the same with another model
    python benchmarks/quality/ablation.py --publish writer-insertion-local=FOLDER     # a report that is there already
    python benchmarks/quality/ablation.py --hosted gpt-4.1-mini              # dry runs: what a hosted model would cost
    python benchmarks/quality/ablation.py --page                             # runs nothing, writes the results of that page

Records stay in --out and are found again, so the script goes on where it was stopped. What is copied to docs/ablation is
what the command wrote, but for the folder of its records: ablation.md, ablation.csv, ablation.yaml and the pictures; of a
search for rules ablation.json without the course of each search. Partial reports are not copied.
A plan's name is USE-WHAT-local; the use is one of USES. A plan with ``requests`` is for ask_ablation.py.
README has the verdicts of the plans beside an engine in a few words.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from optisolve.core.controls import ASKING, PLACEBO, SUBJECT, Arm
from optisolve.study.ablation.verdict import Versus, compare_runs, judge, told_p

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "ablation"
PLANS = ROOT / "benchmarks" / "plans"
PAGE, README, MENU = ROOT / "docs" / "worth_a_call.md", ROOT / "README.md", ROOT / "mkdocs.yml"
BEGIN, END = "<!-- results: written by benchmarks/quality/ablation.py -->\n", "<!-- end of results -->\n"
USED, USED_END = "<!-- uses: written by benchmarks/quality/ablation.py -->\n", "<!-- end of uses -->\n"
NOTHING = "*Not measured with this version yet.*\n"
SAID, SAID_END, SAID_NOTHING = "<!-- worth a call -->", "<!-- end of worth a call -->", "not measured with this version yet"
PROBLEMS = {
    "uav_isac": [],
    "pymoo/zdt1_shifted": ["problem.n_variables=5"],  # with 30 no arm reaches the scoring box in 100 evaluations
    "power_control": [],
}
"""What is solved, and what is changed about it."""
USES = {
    "operator": "operator in an evolutionary engine (`ledma`)",
    "hybrid": "beside an engine of few evaluations (`hybrid`)",
    "writer": "writer of programs (`evolve`)",
    "gate": "gate of experts (`moe_llm`)",
    "agent": "agent in a game (`game`), or on a moving network",
    "parser": "reader of requests (`optisolve ask`)",
}
"""What a language model is used for here, by the first word of a plan's name."""
AUDITED = {"smollm2-135m"}
"""Local models whose weights and license were looked at."""
HOSTED = DOCS / "hosted.csv"
PLANNED = re.compile(r"planned: (\d+) runs x \d+ calls = (\d+) calls, about ([\d,]+) tokens, about ([\d.]+) USD")
LLMS = ("surrogate", "local")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS))
    parser.add_argument("--llm", nargs="+", default=LLMS, help="language models (default: surrogate local)")
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--out", default="runs/ablation", help="folder of the records (default runs/ablation)")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="further settings of optisolve ablate")
    parser.add_argument("--plans", nargs="*", metavar="FILE", help="settings of optisolve ablate (default: benchmarks/plans)")
    parser.add_argument("--label", default="local", help="what the names of a plan's folders end with (default local)")
    parser.add_argument("--publish", nargs="+", default=[], metavar="NAME=FOLDER", help="copy finished reports, run nothing")
    parser.add_argument("--hosted", metavar="MODEL", help="what the plans would cost with a hosted model; nothing is sent")
    parser.add_argument("--page", action="store_true", help="write the results into page and README, run nothing")
    options = parser.parse_args()
    if options.hosted:
        return 1 if foresee(options.hosted, plans(options.plans)) + show() else 0
    for name, _, folder in (word.partition("=") for word in options.publish):
        publish(Path(folder), DOCS / name)
    failed = []
    for name, words in () if options.page or options.publish else jobs(options):
        out = Path(options.out) / name
        words += [*options.set, f"out={out}"]
        print(f"== {' '.join(words)}", flush=True)
        done = subprocess.run([sys.executable, *words], check=False)
        if done.returncode == 130:
            return 130
        if done.returncode:
            failed.append(name)
            continue
        publish(out, DOCS / name)
    if options.page or options.publish or options.plans is not None:
        show()
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def plans(named: list[str] | None) -> list[Path]:
    """The plans that are asked for; all of them when none is named."""
    return [Path(file) for file in named or sorted(PLANS.glob("*.yaml"))]


def command_of(plan: Path) -> list[str]:
    """Words behind `python` that measure a plan."""
    if "requests" in yaml.safe_load(plan.read_text("utf-8")):
        return ["benchmarks/quality/ask_ablation.py", f"config={plan}"]
    return ["-m", "optisolve", "ablate", f"config={plan}"]


def jobs(options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Names and settings of the ablations."""
    if options.plans is not None:
        for file in plans(options.plans):
            yield f"{file.stem.removesuffix('-local')}-{options.label}", command_of(file)
        return
    size = [f"instances={options.instances}", f"seeds={options.seeds}", f"budget.evaluations={options.evaluations}"]
    for llm in options.llm:
        for problem in options.problems:
            words = [f"problem={problem}", "solver=ledma", f"llm={llm}", *PROBLEMS.get(problem, []), *size]
            yield f"{problem.replace('/', '-')}-{llm}", ["-m", "optisolve", "ablate", *words]


def show() -> int:
    """Write what the reports say into the page and README, and the reports into the site's menu; 0."""
    page = filled(PAGE.read_text("utf-8"), USED, uses(), USED_END)
    PAGE.write_text(filled(page, BEGIN, results() or NOTHING, END), "utf-8")
    README.write_text(filled(README.read_text("utf-8"), SAID, brief() or SAID_NOTHING, SAID_END), "utf-8")
    MENU.write_text(listed(MENU.read_text("utf-8")), "utf-8")
    return 0


def listed(menu: str) -> str:
    """The site's menu with a line for every report."""
    before, first, rest = menu.partition("          - ablation/README.md\n")
    after = re.sub(r"^(?:          - ablation/.*\n)*", "", rest)
    found = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.glob("*/ablation.md"))
    return before + first + "".join(f"          - ablation/{report}\n" for report in found) + after


def filled(page: str, begin: str, text: str, end: str) -> str:
    """A page with a text between two marks, which it must have."""
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{begin.strip()} or {end.strip()} is missing; put them where the results shall stand.")
    return before + begin + text + end + after


# -- all uses in one table -------------------------------------------------------------------------------------------------

HEADINGS = (
    *("use", "model", "problem", "pairs", "model's loss", "its placebo's", "best without a model", "Holm p: that; placebo"),
    *("verdict", "calls a run", "tokens a run", "US dollars in all", "command"),
)


@dataclass(frozen=True, eq=False)
class Measured:
    """A published report.

    Attributes:
        name: Of its folder.
        problem: What was solved.
        model: Provider and name.
        runs: A row per run: arm, instance, seed, loss, standing, quiet, llm_calls, tokens, usd; less is better.
        asking: Arms that ask the model.
        gains: The loss is a gain in percent with the other sign.
    """

    name: str
    problem: str
    model: str
    runs: pd.DataFrame
    asking: frozenset[str]
    gains: bool = False

    @property
    def arms(self) -> list[Arm]:
        """The language model first."""
        names = dict.fromkeys([SUBJECT, *self.runs["arm"]])
        return [Arm(name, f"`{name}`", "") for name in names]

    def versus(self) -> list[Versus]:
        """The language model against every arm, as in the report."""
        return compare_runs(self.runs, self.arms, self.asking)

    def row(self) -> list[str]:
        """Its cells, from the model to the dollars."""
        means = self.runs.groupby("arm")[["standing", "loss", "llm_calls", "tokens"]].mean()
        versus = {row.arm.name: row for row in self.versus()}
        answer, _ = judge("the language model", means["standing"].to_dict(), list(versus.values()))
        best = min((name for name in versus if name not in self.asking), key=lambda name: means["standing"][name])
        tests = [told_p(versus[name].p_holm).removeprefix("= ") for name in (best, PLACEBO) if name in versus]
        own = means.loc[SUBJECT]
        return [
            told_model(self.model),
            self.problem if " " in self.problem.partition(",")[0] else f"`{self.problem}`",
            str(self.runs.groupby(["instance", "seed"]).ngroups),
            self.told(own["loss"]),
            self.told(means["loss"][PLACEBO]) if PLACEBO in versus else "no placebo",
            f"{self.told(means['loss'][best])}, `{best}`",
            "; ".join(tests),
            f"[{answer.value}]({self.report})",
            f"{own['llm_calls']:,.0f}",
            f"{own['tokens']:,.0f}",
            f"{self.runs['usd'].sum():.2f}",
        ]

    def told(self, loss: float) -> str:
        """A mean loss, or the gain that it stands for."""
        return f"{-loss:+.2f} % gain" if self.gains else f"{loss:.4f}"

    @property
    def report(self) -> str:
        """Its file as docs/worth_a_call.md links to it."""
        return f"ablation/{self.name}/ablation.{'json' if self.gains else 'md'}"


def told_model(model: str) -> str:
    """Provider and name; a local model that nobody has looked at says so."""
    provider, _, name = model.partition(" ")
    return f"{name}, {provider}{', **unaudited**' if provider == 'local' and name not in AUDITED else ''}"


def measured() -> Iterator[Measured]:
    """Every published report of a use."""
    for folder in sorted(path for path in DOCS.iterdir() if path.name.partition("-")[0] in USES):
        if (folder / "ablation.csv").is_file():
            report = head(folder / "ablation.md")
            runs = pd.read_csv(folder / "ablation.csv")
            if runs["partial"].any() or runs["surrogate"].any():
                raise SystemExit(f"{folder}: a report of a use has all of its pairs and a real language model.")
            calls = runs.groupby("arm")["llm_calls"].sum()
            asking = ASKING.union(calls.index[calls > 0])
            yield Measured(folder.name, report["problem"], report["model"], runs, asking)
        elif (folder / "ablation.json").is_file():
            yield written(folder)
        else:
            raise SystemExit(f"{folder} holds neither ablation.csv nor ablation.json.")


def written(folder: Path) -> Measured:
    """The report of a search for rules: a run is a search or, with its seed, a rule of people."""
    searches = json.loads((folder / "ablation.json").read_text("utf-8"))["searches"]
    rows = []
    for arm, several in searches.items():
        for found in several:
            llm = found["llm"] or {"calls": 0, "tokens_in": 0, "tokens_out": 0, "usd": 0.0}
            cost = {"llm_calls": llm["calls"], "tokens": llm["tokens_in"] + llm["tokens_out"], "usd": llm["usd"]}
            rows.append({"arm": arm, "seed": found["seed"], "loss": -found["gain_percent"]["test"], **cost})
    for found in searches[SUBJECT]:
        for rule, gain in found["hand_rules_test_gain_percent"].items():
            rows.append({"arm": f"hand: {rule}", "seed": found["seed"], "loss": -gain, "llm_calls": 0, "tokens": 0, "usd": 0.0})
    runs = pd.DataFrame(rows).assign(instance=0, quiet=0.0)
    first = searches[SUBJECT][0]
    asking = frozenset(arm for arm, several in searches.items() if several[0]["llm"])
    model = f"{first['llm']['provider']} {first['llm']['model']}"
    problem = f"{first['problem']}`, `{first['skeleton']}"  # within backquotes
    return Measured(folder.name, problem, model, runs.assign(standing=runs["loss"]), asking, gains=True)


def uses() -> str:
    """The table: every use as far as it is measured, and what a hosted model would cost."""
    found, every = list(measured()), plans(None)
    rows = []
    for use, words in USES.items():
        own = [plan for plan in every if plan.stem.startswith(f"{use}-")]
        done = [report for report in found if report.name.startswith(f"{use}-")]
        plan_of = {plan.stem.removesuffix("-local"): plan for plan in own}
        for report in done:
            plan = next((file for stem, file in plan_of.items() if report.name.startswith(f"{stem}-")), None)
            rows.append([words, *report.row(), "" if plan is None else told_command(plan)])
        for stem, plan in plan_of.items():
            if not any(report.name.startswith(f"{stem}-") for report in done):
                asked = ["smollm2-135m, local", planned_problem(plan), *["–"] * 5, "not measured", *["–"] * 3]
                rows.append([words, *asked, told_command(plan)])
        if not own and not done:
            rows.append([words, *["–"] * 7, "not measured: there is no plan", *["–"] * 4])
        rows += [[words, *cells] for cells in hosted(own)]
    lines = [HEADINGS, ["---"] * len(HEADINGS), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def told_command(plan: Path, *more: str) -> str:
    """What to type, from the folder of the repository."""
    text = " ".join([*command_of(plan), *more]).replace(str(PLANS), "benchmarks/plans").removeprefix("-m ")
    return f"`{text if text.startswith('optisolve') else f'python {text}'}`"


def planned_problem(plan: Path) -> str:
    told = yaml.safe_load(plan.read_text("utf-8"))
    if "requests" in told:
        return f"{told['requests']} labelled requests"
    problem = told["problem"] if isinstance(told["problem"], str) else told["problem"]["name"]
    more = told.get("skeleton") or (f"{told['episode']} steps" if "episode" in told else "")
    return f"`{problem}`" + (f", `{more}`" if "skeleton" in told else f", {more}" if more else "")


def hosted(own: list[Path]) -> Iterator[list[str]]:
    """Cells of the hosted models that were not asked, by plan."""
    if not HOSTED.is_file():
        return
    with HOSTED.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            plan = next((plan for plan in own if plan.name == row["plan"]), None)
            if plan is not None:
                runs, cost = int(row["runs"]), f"would cost {float(row['usd']):.2f}"
                use = [f"{int(row['calls']) / runs:,.0f}", f"{int(row['tokens']) / runs:,.0f}", cost]
                command = told_command(plan, "llm=openai", f"llm.model={row['model']}")
                yield [f"{row['model']}, hosted", planned_problem(plan), *["–"] * 5, "not run", *use, command]


def foresee(model: str, asked: list[Path]) -> int:
    """Dry runs of plans with a hosted model, whose forecasts are kept; the number of those that failed."""
    kept = []
    if HOSTED.is_file():
        with HOSTED.open(encoding="utf-8") as file:
            kept = list(csv.DictReader(file))
    failed = 0
    for plan in asked:
        words = [*command_of(plan), "llm=openai", f"llm.model={model}", "dry_run=true"]
        print(f"== {' '.join(words)}", flush=True)
        done = subprocess.run([sys.executable, *words], check=False, stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        found = PLANNED.search(done.stdout)
        if done.returncode or found is None:
            failed += 1
            continue
        runs, calls, tokens, usd = (part.replace(",", "") for part in found.groups())
        row = {"plan": plan.name, "model": model, "runs": runs, "calls": calls, "tokens": tokens, "usd": usd}
        kept = [*(old for old in kept if (old["plan"], old["model"]) != (plan.name, model)), row]
        with HOSTED.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(row), lineterminator="\n")
            table.writeheader()
            table.writerows(sorted(kept, key=lambda line: (line["plan"], line["model"])))
    return failed


# -- beside an engine of few evaluations -----------------------------------------------------------------------------------


def head(report: Path) -> dict[str, str]:
    """Problem, language model and verdict of a report."""
    lines = report.read_text("utf-8").splitlines()
    found = {"problem": lines[0].rpartition(" on ")[2]}
    for name, mark in (("model", "- language model: "), ("verdict", "**Verdict.** ")):
        found[name] = next(line for line in lines if line.startswith(mark)).removeprefix(mark)
    return found


def reports() -> Iterator[tuple[Path, str, str, str, str]]:
    """Every published report of `hybrid`: its file, text, problem, language model and verdict."""
    for report in sorted(DOCS.glob("hybrid-*/ablation.md")):
        told = head(report)
        yield report, report.read_text("utf-8"), told["problem"], told["model"], told["verdict"]


def results() -> str:
    """Verdict, losses and comparisons of every report, as the command wrote them."""
    blocks = []
    for report, text, problem, model, verdict in reports():
        blocks += [
            f"### {problem}, {model}",
            f"**Verdict.** {verdict}",
            *(table(text, heading) for heading in ("## Results", "### Loss: ")),
            f"[The whole report](ablation/{report.parent.name}/ablation.md)",
        ]
    return "".join(f"{block}\n\n" for block in blocks)


def brief() -> str:
    """The same in a few words: the verdict without its reasons, the losses with the model and of the engine alone."""
    told = []
    for _, text, problem, model, verdict in reports():
        loss = dict(re.findall(r"^\| (\w+) \| [^|]* \| (\d\.\d+)", table(text, "## Results"), re.MULTILINE))
        answer = verdict.partition(":")[0].removeprefix("The language model was ")
        told.append(f"`{problem}`, {model.split()[1].rstrip(',')}: {answer.lower()}, loss {loss['llm']}, alone {loss['none']}")
    return "; ".join(told)


def table(text: str, heading: str) -> str:
    """The first table below a heading."""
    below = text.partition(f"\n{heading}")[2]
    found = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    return found.group().rstrip("\n") if found else "*No pair is complete.*"


def publish(out: Path, target: Path) -> None:
    """Copy a complete report; what an earlier one left there goes."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in sorted(out.glob("ablation*")):
        if file.is_file():  # not the records
            shutil.copyfile(file, target / file.name)
    report, searches = target / "ablation.md", target / "ablation.json"
    if report.is_file():
        report.write_text(report.read_text("utf-8").replace(str(out), f"runs/ablation/{target.name}"), "utf-8")
    if searches.is_file():
        told = json.loads(searches.read_text("utf-8"))
        for found in (found for several in told["searches"].values() for found in several):
            for course in ("trace", "front", "dialogue"):
                found.pop(course, None)
        searches.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    print(f"-> {target}")


if __name__ == "__main__":
    sys.exit(main())
