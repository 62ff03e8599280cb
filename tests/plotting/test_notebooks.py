"""How results, problems and spaces show themselves in a notebook."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

import optisolve
from optisolve.core import Space, Variable


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def shown(uav):
    instance = uav[0].instance
    problem = optisolve.load_problem("uav_isac")
    return {
        thing.__class__.__name__: thing._repr_html_() for thing in (uav[0], uav[0].record, instance, instance.space, problem)
    }


def test_they_are_small_well_formed_tables_without_anything_from_elsewhere(shown):
    for name, text in shown.items():
        tags = Tags(text)
        assert not tags.open, name
        assert set(tags.seen) <= {"table", "caption", "b", "thead", "tbody", "tr", "th", "td"}, name
        assert len(text) < 6000, name
        assert not re.search(r"https?:|src=|href=|url\(", text), name


def test_a_result_tells_its_scores(uav, shown):
    assert f"{uav[0].hypervolume:.6g}" in shown["Result"]
    assert "moead_de" in shown["Result"]
    assert "uav_isac, instance 0" in shown["Result"]


def test_what_strangers_write_is_escaped():
    space = Space.of([Variable("<script>alert(1)</script>", 0.0, 1.0, "<b>W</b>")])
    assert "<script>" not in space._repr_html_()
    assert "&lt;script&gt;" in space._repr_html_()
    assert "<b>W" not in space._repr_html_()


def test_a_space_is_one_short_line(uav):
    large = Space.of(Variable(f"x{i}", 0.0, 1.0) for i in range(1000))
    assert repr(large) == "<Space d=1000 (1000 real): x0, x1, x2, …, x999>"
    assert len(repr(uav[0].instance.space)) < 120
    assert "… 981 more" in large._repr_html_()


def test_a_record_is_one_short_line(uav):
    assert repr(uav[0].record) == f"<Record {uav[0].record.record_id}: feasible, {len(uav[0].record.verified.F)} points>"


def test_a_table_of_records_can_be_shown(records):
    text = optisolve.load_records(records)._repr_html_()
    assert text.count("<tr") >= 9
    assert len(text) < 60_000
