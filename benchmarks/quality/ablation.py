"""Was the language model needed? The reports in docs/ablation, made by `optisolve ablate`.

    python benchmarks/quality/ablation.py                                    # everything, local model and surrogate
    python benchmarks/quality/ablation.py --llm surrogate                    # minutes, no model
    python benchmarks/quality/ablation.py --problems uav_isac --seeds 5 --evaluations 300
    python benchmarks/quality/ablation.py --plans                            # benchmarks/plans, for docs/worth_a_call.md
    python benchmarks/quality/ablation.py --plans --label qwen --set llm.gguf=FILE    # the same with another model
    python benchmarks/quality/ablation.py --page                             # runs nothing, writes the results of that page

Records stay in --out and are found again, so the script goes on where it was stopped. What is copied to docs/ablation is
what the command wrote, but for the folder of its records: ablation.md, ablation.csv, ablation.yaml and the pictures. Partial
reports are not copied.
README has the verdicts of the plans in a few words.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "ablation"
PLANS = ROOT / "benchmarks" / "plans"
PAGE, README = ROOT / "docs" / "worth_a_call.md", ROOT / "README.md"
BEGIN, END = "<!-- results: written by benchmarks/quality/ablation.py -->\n", "<!-- end of results -->\n"
NOTHING = "*Not measured with this version yet.*\n"
SAID, SAID_END, SAID_NOTHING = "<!-- worth a call -->", "<!-- end of worth a call -->", "not measured with this version yet"
PROBLEMS = {
    "uav_isac": [],
    "pymoo/zdt1_shifted": ["problem.n_variables=5"],  # with 30 no arm reaches the scoring box in 100 evaluations
    "power_control": [],
}
"""What is solved, and what is changed about it."""
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
    parser.add_argument("--page", action="store_true", help="write the results into page and README, run nothing")
    options = parser.parse_args()
    failed = []
    for name, words in () if options.page else jobs(options):
        out = Path(options.out) / name
        words += [*options.set, f"out={out}"]
        print(f"== optisolve ablate {' '.join(words)}", flush=True)
        done = subprocess.run([sys.executable, "-m", "optisolve", "ablate", *words], check=False)
        if done.returncode == 130:
            return 130
        if done.returncode:
            failed.append(name)
            continue
        publish(out, DOCS / name)
    if options.page or options.plans is not None:
        write(PAGE, BEGIN, results() or NOTHING, END)
        write(README, SAID, brief() or SAID_NOTHING, SAID_END)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def jobs(options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Names and settings of the ablations."""
    if options.plans is not None:
        for file in map(Path, options.plans or sorted(PLANS.glob("hybrid-*.yaml"))):
            yield f"{file.stem.removesuffix('-local')}-{options.label}", [f"config={file}"]
        return
    size = [f"instances={options.instances}", f"seeds={options.seeds}", f"budget.evaluations={options.evaluations}"]
    for llm in options.llm:
        for problem in options.problems:
            words = [f"problem={problem}", "solver=ledma", f"llm={llm}", *PROBLEMS.get(problem, []), *size]
            yield f"{problem.replace('/', '-')}-{llm}", words


def write(file: Path, begin: str, text: str, end: str) -> None:
    """Put a text between two marks of a file, which must have them."""
    before, found, rest = file.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{file} lacks {begin.strip()} or {end.strip()}; put them where the results shall stand.")
    file.write_text(before + begin + text + end + after, "utf-8")


def reports() -> Iterator[tuple[Path, str, str, str, str]]:
    """Every published report of `hybrid`: its file, text, problem, language model and verdict."""
    for report in sorted(DOCS.glob("hybrid-*/ablation.md")):
        text = report.read_text("utf-8")
        lines = text.splitlines()
        model = next(line for line in lines if line.startswith("- language model: ")).removeprefix("- language model: ")
        verdict = next(line for line in lines if line.startswith("**Verdict.** ")).removeprefix("**Verdict.** ")
        yield report, text, lines[0].rpartition(" on ")[2], model, verdict


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
    report = target / "ablation.md"
    report.write_text(report.read_text("utf-8").replace(str(out), f"runs/ablation/{target.name}"), "utf-8")
    print(f"-> {target}")


if __name__ == "__main__":
    sys.exit(main())
