"""Marks by place: they select what they name, and hide nothing that has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import marks

TESTS = Path(marks.__file__).parent


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("problems/test_uav_isac_kernel.py", {"uav_isac"}),
        ("problems/test_power_control_edges.py", {"power_control"}),
        ("problems/test_golden.py", set()),
        ("solvers/ledma/test_mix.py", {"ledma"}),
        ("solvers/test_opro.py", {"opro"}),
        ("metamorphic/test_noma_uav.py", {"noma_uav"}),
        ("reliability/test_kills.py", {"plumbing", "kills"}),
        ("study/test_ray.py", {"plumbing", "ray"}),
        ("core/test_text.py", set()),
    ],
)
def test_a_file_has_the_marks_of_its_place(place, names):
    assert (TESTS / place).is_file()
    assert marks.marks_of(TESTS / place) == names


def test_every_file_that_the_marks_name_is_there():
    named = {*marks._PLUMBING_FILES, *marks._SWEEPS, *marks._BROWSER_FILES}
    assert [place for place in sorted(named) if not (TESTS / place).is_file()] == []
    assert set(marks._PLUMBING_FILES.values()) | {"browser"} == set(marks.PLUMBING)


def test_no_file_is_left_out_that_holds_a_test_with_the_mark(request):
    """Over all tests of this session, which are all there are when the whole suite runs."""
    known = {*marks.plugins(), *marks.PLUMBING, "plumbing"}
    hidden = {
        (item.nodeid, mark.name)
        for item in request.session.items
        if item.path.is_relative_to(TESTS)
        for mark in item.iter_markers()
        if mark.name in known and not marks.can_hold(item.path, mark.name)
    }
    assert hidden == set()
