"""Reports: complete, escaped, the same bytes for the same records, and readable without network, colors or a wide screen."""

from __future__ import annotations

import copy
import csv
import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core import Budget, Effort
from optisolve.core.errors import OptionError, RecordError
from optisolve.plotting.style import PALETTE, looks_of
from optisolve.run.records import read_all
from optisolve.study.aggregate import ranking
from optisolve.study.report import build_report, escape_latex, render_html, render_latex, write_report
from optisolve.study.report.commands import command_of, override_text
from optisolve.study.report.svg import COLORS
from optisolve.study.report.tables import make_table, number, ranks, scores
from optisolve.study.scored import score_units
from optisolve.trust.site.pages import RecordPage
from tests.forging import record_bytes, seal
from tests.study.records import made
from tests.study.records import table as loaded

SOLVERS = {"parallel_channels": ("random_search", "null", "water_filling"), "uav_isac": ("random_search", "moead_de")}


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> Path:
    """Two families, two instances, two seeds."""
    folder = tmp_path_factory.mktemp("records")
    for scenario, solvers in SOLVERS.items():
        problem = optisolve.load_problem(scenario)
        for seed in range(2):
            instance = problem.instance(seed)
            reference = problem.reference(instance, Effort.QUICK)
            for solver in solvers:
                for repetition in range(2):
                    made = optisolve.solve(
                        instance, solver, budget=Budget(evaluations=60), seed=repetition, reference=reference
                    )
                    made.save(folder)
    return folder


@pytest.fixture(scope="module")
def report(records):
    return build_report([records])


@pytest.fixture(scope="module")
def written(report, tmp_path_factory) -> Path:
    return write_report(report, tmp_path_factory.mktemp("report"), pdf=True).parent


@pytest.fixture(scope="module")
def page(written) -> str:
    return (written / "index.html").read_text(encoding="utf-8")


def changed(record, folder: Path, **changes) -> Path:
    """Write a record with other settings, sealed again, as a plug-in or another machine could have made it."""
    record = copy.deepcopy(record)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = record
        for parent in parents:
            place = place[parent]
        place[last] = value
    record = seal(record)
    target = folder / record["record_id"].lstrip(".")
    target.mkdir(parents=True)
    (target / "record.json").write_bytes(record_bytes(record))
    return target


def one(records: Path, text: str) -> dict:
    return json.loads(sorted(records.glob(f"{text}*/record.json"))[0].read_bytes())


# --- same bytes --------------------------------------------------------------------------------------------------------


def test_same_records_same_bytes_wherever_they_lie_and_in_whatever_order_they_are_named(records, tmp_path):
    elsewhere, chosen = tmp_path / "elsewhere", sorted(records.glob("parallel_channels.*"))
    for source in chosen:
        (elsewhere / source.name).mkdir(parents=True)
        (elsewhere / source.name / "record.json").write_bytes((source / "record.json").read_bytes())
    first = write_report(build_report(chosen), tmp_path / "a", pdf=True).parent
    shuffled = sorted(elsewhere.iterdir(), reverse=True)
    second = write_report(build_report([*shuffled, elsewhere]), tmp_path / "b", pdf=True).parent
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    assert len(files) > 20
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


# --- the page ----------------------------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Collects what the checks below look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.targets, self.tags, self.headings, self.links, self.attributes = [], [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.attributes.append((tag, given))
        if "id" in given:
            self.ids.append(given["id"])
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name in ("href", "src", "xlink:href"):
            if name in given:
                self.links.append(given[name])
        self.targets += given.get("aria-labelledby", "").split()


def test_page_needs_no_network_and_no_script(page):
    outline = Outline(page)
    assert all(link.startswith("#") for link in outline.links)
    assert not {"script", "link", "img", "iframe"} & set(outline.tags)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert set(re.findall(r"https?://[^\"' <]+", page)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_page_is_well_formed_for_screen_readers(page):
    outline = Outline(page)
    assert len(outline.ids) == len(set(outline.ids))
    wanted = {link.removeprefix("#") for link in outline.links} | set(outline.targets)
    assert wanted <= set(outline.ids)
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    tables = outline.tags.count("table")
    assert tables == outline.tags.count("caption") > 5
    assert all("scope" in given for tag, given in outline.attributes if tag == "th")
    pictures = [given for tag, given in outline.attributes if tag == "svg"]
    assert len(pictures) == outline.tags.count("figure") == outline.tags.count("figcaption") > 5
    assert all(given["role"] == "img" and given["aria-labelledby"] for given in pictures)
    assert dict(outline.attributes)["html"]["lang"] == "en"
    assert 'name="viewport"' in page


def test_alternative_texts_say_what_the_pictures_show(report):
    texts = [picture.alt for family in report.families for picture in family.pictures]
    assert len(texts) == len(set(texts))
    assert all(re.search(r"\d", text) and "random_search" in text for text in texts)


def test_words_at_the_axes_of_pictures_are_not_cut_off(report):
    for figure in (picture.figure for family in report.families for picture in family.pictures):
        figure.draw_without_rendering()
        for axes in figure.axes:
            box = axes.yaxis.label.get_window_extent()
            assert figure.bbox.y0 - 1 <= box.y0, axes.get_ylabel()
            assert box.y1 <= figure.bbox.y1 + 1, axes.get_ylabel()


def test_curves_of_a_picture_differ_in_color_and_carry_markers(report):
    for figure in (picture.figure for family in report.families for picture in family.pictures):
        for axes in figure.axes:
            drawn = [line for line in axes.lines if not line.get_label().startswith("_")]
            assert len({line.get_color() for line in drawn}) == len(drawn)
            assert len({line.get_marker() for line in drawn}) == len(drawn)


def _luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_holds_in_light_and_dark(page):
    """WCAG 2.2: 4.5 for text (1.4.3), 3 for the strokes of pictures (1.4.11)."""
    schemes = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{([^}]*)\}", page)]
    assert len(schemes) == 2
    assert schemes[0].keys() == schemes[1].keys()
    for colors in schemes:
        paper = _luminance(colors["paper"])

        def contrast(name, behind=paper, colors=colors):
            high, low = sorted((_luminance(colors[name]), behind), reverse=True)
            return (high + 0.05) / (low + 0.05)

        assert all(contrast(name) >= 4.5 for name in ("ink", "muted", "link", "bad"))
        assert contrast("ink", _luminance(colors["warn-paper"])) >= 4.5
        assert all(contrast(f"c{i}") >= 3 for i in range(len(PALETTE)))


def test_pictures_follow_the_color_scheme(page):
    pictures = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert not [color for color in COLORS if color in pictures.lower() and color.startswith("#")]
    assert "var(--ink)" in pictures
    assert "var(--c0)" in pictures


def test_page_says_what_was_run_and_how_to_run_it_again(page, records):
    record = one(records, "uav_isac.moead_de")
    assert "share of the best known front&#39;s hypervolume that is missing" in page  # the published front was found
    assert record["solver"]["code"][:16] in page
    assert record["env"]["python"] in page
    assert "optisolve run -m problem=uav_isac solver=moead_de instance=0,1 seed=0,1 budget.evaluations=60" in page
    assert "no pairwise difference can be significant" in page  # two instances


def test_words_of_others_cannot_break_page_or_tables(records, tmp_path):
    words = '<script>alert("x")</script> & 5%_{$}'
    record = one(records, "parallel_channels.random_search")
    changed(record, tmp_path / "named", solver__name=words.replace("/", ""))
    with pytest.raises(RecordError, match=r"solver\.name"):
        build_report([tmp_path / "named"])
    broke = {"status": "error", "limit": None, "detail": words}
    changed(record, tmp_path / "r", termination=broke, provenance__notice="<b>free</b>")
    changed(record, tmp_path / "r", seed=7)
    made = build_report([tmp_path / "r"], title="A <i>title</i>")
    page = render_html(made)
    assert "<script>" not in page
    assert "<b>free" not in page
    assert "<i>title" not in page
    assert "&lt;script&gt;" in page
    tex = render_latex(made.experiments[0].failures[0])
    assert r"\& 5\%\_\{\$\}" in tex


def test_names_of_others_cannot_leave_the_folder_or_hide_a_file(records, tmp_path):
    record = one(records, "parallel_channels.random_search")
    changed(record, tmp_path / "named", instance__problem="../../evil", instance__scenario="../../evil")
    with pytest.raises(RecordError, match=r"instance\.problem"):
        build_report([tmp_path / "named"])
    for name in ("evil+x", "evil-x"):
        changed(record, tmp_path / "r", instance__problem=name, instance__scenario=name)
    made = build_report([tmp_path / "r"])
    (own,) = made.experiments
    bare = replace(made, experiments=(replace(own, families=tuple(replace(f, pictures=()) for f in own.families)),))
    out = write_report(bare, tmp_path / "out" / "deep")
    assert {path.name for path in tmp_path.iterdir()} == {"named", "r", "out"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"deep"}
    names = {path.stem for path in (out.parent / "tables").glob("*.csv")}
    assert len([name for name in names if name.startswith("scores-")]) == 2


# --- nothing hidden ----------------------------------------------------------------------------------------------------


def test_an_altered_record_stops_the_report(records, tmp_path):
    record = one(records, "parallel_channels.random_search")
    record["scores"]["gap"] = 0.0
    target = tmp_path / record["record_id"]
    target.mkdir()
    (target / "record.json").write_bytes(record_bytes(record))
    with pytest.raises(RecordError, match=r"1 record\(s\) were altered.*random_search"):
        build_report([tmp_path])


def test_failures_stand_in_the_report_with_their_reasons(records, tmp_path):
    record = one(records, "parallel_channels.random_search")
    termination = {"status": "error", "limit": None, "detail": "ValueError: a plug-in's bug"}
    changed(record, tmp_path, seed=5, termination=termination)
    changed(record, tmp_path, instance__seed=9)
    changed(record, tmp_path, solver__name="other")
    made = build_report([tmp_path])
    rows = made.experiments[0].failures[0].texts.to_numpy().tolist()
    assert ["parallel_channels", "random_search", "1", "failed", "ValueError: a plug-in's bug"] in rows
    assert any(row[3] == "missing" for row in rows)
    assert "1 failed" in made.summary[1]
    ranking = made.families[0].ranking
    failed = dict(zip(ranking.texts["solver"], ranking.texts["failed"], strict=True))
    assert failed["random_search"].startswith("3 / 4")  # one broke, two of (instance, seed) are missing


def test_units_that_a_suite_planned_and_that_are_missing_are_failures(records, tmp_path):
    suite = {"name": "mine", "version": "2", "sha256": "a" * 64, "unit": "x", "problem": "p", "solver": "s"}
    record = one(records, "parallel_channels.random_search")
    folder = tmp_path / "mine"
    for i in range(2):
        changed(record, folder, seed=i, suite={**suite, "instance": "0", "repetition": str(i)})
    units = [f"p.s.i{i}.r{r}-0123456789ab" for i in range(2) for r in range(2)] + ["p.never.i0.r0-0123456789ab"]
    skipped = [{"problem": "p", "solver": "unable", "instances": [0], "reason": "needs a model"}]
    manifest = {"suite": {"name": "mine", "version": "2", "sha256": "a" * 64}, "units": units, "skipped": skipped}
    (folder / "suite.json").write_text(json.dumps({**manifest, "units_of_the_suite": 9}))
    made = build_report([tmp_path])
    assert "3 missing" in made.summary[1]
    assert any("5 of its 9 units were asked for" in notice for notice in made.notices)
    assert made.experiments[0].failures[1].texts[["scenario", "solver"]].to_numpy().tolist() == [["p", "unable"]]
    assert any(command.text == "optisolve bench suite=mine.yaml" for command in made.commands)
    (folder / "suite.json").unlink()
    assert any("No suite.json" in notice for notice in build_report([tmp_path]).notices)
    (folder / "suite.json").write_text("{")
    with pytest.raises(RecordError, match=r"suite\.json: damaged"):
        build_report([tmp_path])


def test_stand_ins_and_unverified_tiers_are_announced(records, tmp_path):
    record = one(records, "parallel_channels.random_search")
    model = {"provider": "surrogate", "model": "statistics", "params": {}}
    changed(record, tmp_path, solver__llm=model, provenance__notice="GPT wrote this", provenance__tier="self_reported")
    notices = build_report([tmp_path]).notices
    assert "random_search: surrogate: no language model was called" in notices
    assert any("self reported" in notice for notice in notices)
    assert "GPT" not in " ".join(notices)  # what a record says about itself is not shown as a fact


@pytest.fixture(scope="module")
def mixed(records, tmp_path_factory) -> Path:
    """Runs by hand beside those of a suite whose solver of the same name had a stand-in for its model."""
    folder = tmp_path_factory.mktemp("mixed")
    by_hand = one(records, "parallel_channels.random_search")
    changed(by_hand, folder / "runs")
    changed(by_hand, folder / "runs", solver__name="null", instance__scenario="parallel_channels/other")
    model = {"provider": "local", "model": "small", "params": {}}
    changed(by_hand, folder / "runs", solver__llm=model, solver__name="moead", instance__scenario="parallel_channels/other")
    suite = {"name": "mine", "version": "2", "sha256": "a" * 64, "problem": "parallel_channels", "instance": "0"}
    for solver in ("water_filling", "null"):
        member = {**suite, "unit": solver, "solver": f"{solver}_label", "repetition": "0"}
        llm = {"provider": "surrogate", "model": "statistics", "params": {}} if solver == "null" else None
        changed(by_hand, folder / "mine", solver__name="moead", suite=member, solver__llm=llm)
    return folder


def test_runs_by_hand_and_suites_are_sections_of_their_own(mixed, tmp_path, capsys):
    made = build_report([mixed])
    assert [experiment.name for experiment in made.experiments] == ["Runs by hand", "Suite mine 2"]
    by_hand, suite = made.experiments
    assert "nothing can be ranked" in by_hand.families[0].summary[0]
    assert by_hand.families[0].ranking is None
    assert suite.families[0].ranking is not None
    assert set(made.units["experiment"]) == {"Runs by hand", "Suite mine 2"}
    page = render_html(made)
    outline = Outline(page)
    assert len(outline.ids) == len(set(outline.ids))
    assert {target.removeprefix("#") for target in outline.targets} <= set(outline.ids)
    assert main(["report", str(mixed), "--out", str(tmp_path / "out")]) == 0
    assert "Suite mine 2, parallel_channels:" in capsys.readouterr().out


def test_a_report_writes_no_empty_table_and_says_nothing_in_jargon(mixed, tmp_path):
    page = write_report(build_report([mixed]), tmp_path)
    tables = sorted((tmp_path / "tables").glob("*.csv"))
    assert len(tables) > 8
    for file in tables:
        assert len(file.read_text().splitlines()) > 1, file.name
    told = page.read_text(encoding="utf-8")
    assert "[no suite]" not in told
    assert not re.search(r"\bskips\b", told)
    evaluations = [text for file in tables if "costs" in file.stem for text in _column(file.with_suffix(".tex"), 3)]
    assert set(evaluations) == {"60"}


def _column(file: Path, index: int) -> list[str]:
    lines = file.read_text().split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    return [line.rstrip("\\ ").split(" & ")[index] for line in lines]


def test_a_stand_in_is_found_by_what_the_records_say_and_named_by_its_label(mixed):
    stand_ins = [notice for notice in build_report([mixed]).notices if "surrogate" in notice]
    assert stand_ins == ["Suite mine 2: null_label: surrogate: no language model was called"]


def test_trivial_answers_stand_beside_the_solvers(report):
    assert [table.name for table in report.experiments[0].controls] == ["against-null", "against-random_search"]
    solvers = set(report.experiments[0].controls[0].texts["solver"])
    assert solvers == {"random_search", "water_filling"}
    assert any("Behind the control null" in sentence for sentence in report.families[0].summary)


@pytest.mark.parametrize("status", ["error", "skipped", "limit"])
def test_one_solver_on_one_instance_and_nothing_but_failures_still_make_a_page(records, tmp_path, status):
    record = one(records, "uav_isac.random_search")
    termination = {"status": status, "limit": None, "detail": "why"}
    changed(record, tmp_path, termination=termination)
    made = build_report([tmp_path])
    page = render_html(made)
    family = made.families[0]
    assert ("nothing can be ranked" if status == "skipped" else "only solver on every instance") in family.summary[0]
    assert page.count("<svg") == len(family.pictures)
    assert ("Every unit ended with a verified feasible answer" in page) is (status == "limit")


def test_more_solvers_than_colors_differ_in_their_dashes():
    looks = looks_of(f"s{i}" for i in range(20))
    assert len({(look.color, look.dashes) for look in looks.values()}) == 20


# --- tables ------------------------------------------------------------------------------------------------------------


def _tables(report):
    for family in report.families:
        yield from (*filter(None, [family.ranking]), *family.tables, *(table for _, table in family.details))
    yield from report.setup
    for experiment in report.experiments:
        yield from (experiment.scenarios, *experiment.controls, experiment.costs, *experiment.failures)


def test_latex_tables_are_complete_and_rectangular(report):
    for table in _tables(report):
        tex = render_latex(table)
        for environment in ("table", "tabular"):
            assert tex.count(rf"\begin{{{environment}}}") == tex.count(rf"\end{{{environment}}}") == 1
        letters = re.search(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", tex).group(1)
        body = tex[tex.index(r"\toprule") : tex.index(r"\bottomrule")].splitlines()
        rows = [line for line in body if line.endswith(r"\\")]
        assert len(rows) == len(table.texts) + 1
        assert all(len(re.findall(r"(?<!\\)&", row)) == len(letters) - 1 for row in rows)
        assert not re.search(r"(?<!\\)[_%#](?!\{)", tex.split("\n", 1)[1])
        assert tex.count("{") == tex.count("}") or r"\{" in tex


def test_captions_of_scores_state_instances_runs_and_marks(report):
    caption = report.families[0].tables[0].caption
    for words in (
        "2 instances",
        "4 runs",
        "Bold: best",
        "†",
        "95 %",
        "failed run has loss 1",
        "loss, gap to the proven optimum",
    ):
        assert words in caption


@pytest.mark.parametrize(("instances", "shape"), [(1, r"\(n = 1\)"), (9, r"\(.+ to .+, n = 9\)"), (10, r"\[.+, .+\], n = 10")])
def test_a_mean_stands_beside_its_range_or_interval_and_its_number_of_instances(instances, shape):
    gaps = np.random.default_rng(0).uniform(0.1, 0.9, instances)
    units = score_units(loaded(*(made(solver, gap=gap, instance=i) for i, gap in enumerate(gaps) for solver in "ab")))
    (shown,) = scores("toy", units, alpha=0.05)
    ranked = ranks("toy", ranking(units), "gap")
    for text in (shown.texts.iloc[0, 1], ranked.texts.iloc[0, 2]):
        assert re.search(shape, text), text
        assert ("[" in text) == (instances == 10)


def test_runs_of_the_only_instance_are_called_runs():
    units = score_units(loaded(*(made(gap=0.1 + k / 100, seed=k) for k in range(12))))
    (shown,) = scores("toy", units, alpha=0.05)
    assert shown.texts.iloc[0, 1].endswith("n = 12 runs")
    assert "say nothing about others" in shown.caption


def test_best_is_bold_and_worse_is_marked_in_both_outputs(report):
    table = make_table("t", "c", {"s": ["a"], "x": ["8.8e-8†"]}, words=["s"], best={"s": [True]})
    assert r"\textbf{a} & $8.8\times10^{-8}$$^\dagger$ \\" in render_latex(table)
    assert '<strong>a</strong></th><td class="n">8.8e-8†</td>' in render_html(replace(report, setup=(table,)))
    assert escape_latex("a_1 <b> ≤ ∞ {x}") == r"a\_1 \textless{}b\textgreater{} $\le$ $\infty$ \{x\}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (0.0, "0"),
        (0.02332, "0.0233"),
        (8.75e-8, "8.7e-8"),
        (1e-6, "1e-6"),
        (12345.6, "12,346"),
        (3.0, "3.00"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_csv_holds_full_precision(report, records, written):
    with (written / "tables" / "units.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(report.units) == 20
    gaps = {row["record_id"]: float(row["gap"]) for row in rows if row["gap"]}
    record = one(records, "parallel_channels.random_search")
    assert gaps[record["record_id"]] == record["scores"]["gap"]
    assert len(list((written / "figures").glob("*.pdf"))) == sum(len(family.pictures) for family in report.families)


# --- commands ----------------------------------------------------------------------------------------------------------


def test_printed_commands_make_the_same_results_again(report, records, tmp_path, monkeypatch):
    wanted = {json.loads(path.read_bytes())["result_hash"] for path in records.glob("parallel_channels.*/record.json")}
    monkeypatch.chdir(tmp_path)
    for command in report.commands:
        if "parallel_channels" in command.text:
            words = shlex.split(command.text)
            assert words[0] == "optisolve"
            assert main([*words[1:], "pictures=false", "out=again"]) == 0
    assert {json.loads(path.read_bytes())["result_hash"] for path in Path("again").glob("*/record.json")} == wanted


def test_commands_write_out_what_differs_from_the_defaults(records, tmp_path):
    record = one(records, "parallel_channels.random_search")
    params = {**record["instance"]["params"], "p_total_w": 2.5}
    changed(record, tmp_path, instance__params=params, reference=None)
    text = build_report([tmp_path]).commands[0].text
    assert "problem.p_total_w=2.5" in text
    assert "reference=none" in text
    assert "n_channels" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("null", '"null"'),
        ("a b", '"a b"'),
        ("los", "los"),
        ([1, "x"], "[1,x]"),
        ({"a": 0.5}, "{a:0.5}"),
        ('q"', '"q\\""'),
    ],
)
def test_values_are_written_in_hydras_grammar(value, text):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert override_text(value) == text
    assert OverridesParser.create().parse_override(f"key={text}").value() == value


# --- command line ------------------------------------------------------------------------------------------------------


def test_command_line_writes_a_report_and_tells_the_outcome(records, tmp_path, capsys):
    paths = [str(path) for path in records.glob("parallel_channels.*")]
    assert main(["report", *paths, "--out", str(tmp_path / "out"), "--title", "Mine"]) == 0
    told = capsys.readouterr().out
    assert "12 records" in told
    assert "water_filling ranks first" in told
    assert "<title>Mine</title>" in (tmp_path / "out" / "index.html").read_text()


def test_bad_input_is_one_clear_error(tmp_path, records, capsys):
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "no record.json at or below this path" in capsys.readouterr().err.replace("\n", " ")
    with pytest.raises(OptionError, match=r"alpha: got 1.5"):
        build_report([records], alpha=1.5)
    with pytest.raises(RecordError, match="No path"):
        build_report([])


def test_a_report_and_the_site_say_which_scenario_s_box_leaves_points_out(tmp_path):
    """The worst record speaks for its scenario; a scenario without such a record is not named."""
    corners = {"hypervolume_reference": (-25.0, 2.0), "hypervolume_ideal": (0.0, 0.0)}
    for users, solver in ((40, "null"), (40, "random_search"), (10, "null")):
        problem = optisolve.load_problem("uav_isac", n_users=users, **(corners if users == 40 else {}))
        problem = replace(problem, scenario=f"uav_isac/users{users}")
        optisolve.solve(problem, solver, budget=Budget(evaluations=64)).save(tmp_path)
    (notice,) = [told for told in build_report([tmp_path]).notices if "scoring box" in told]
    assert notice.startswith("uav_isac/users40: 2 records with a note on the scoring box; ")
    assert "points of the front lie outside the scoring box (utility -25 to 0, error_bound 2 to 0)" in notice
    records = [record for _, record in read_all(tmp_path)]
    pages = [RecordPage(r, r.instance.scenario, r.solver.name, command="", charts=(), sources=None) for r in records]
    notes = {page.scenario: page.note for page in pages}
    assert notes["uav_isac/users10"] == ""
    assert "lie outside" in notes["uav_isac/users40"]


def test_a_command_gives_a_box_exactly_where_the_parameters_would_not_lead_to_it():
    corners = {"hypervolume_reference": (-25.0, 2.0), "hypervolume_ideal": (0.0, 0.0)}
    words = {}
    for name, changes in {"own": {}, "follows": {"n_users": 20}, "kept": {"n_users": 20, **corners}}.items():
        problem = optisolve.load_problem("uav_isac", **changes)
        words[name] = command_of(optisolve.solve(problem, "null").record)
    assert "hypervolume" not in words["own"] + words["follows"]
    assert "problem.n_users=20" in words["follows"]
    assert "problem.hypervolume_reference=[-25.0,2.0]" in words["kept"]
