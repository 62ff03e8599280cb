"""What an author would complain about: words at axes, legends over points, equal colors, objectives that vanish."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import optisolve
from optisolve.core.errors import OptisolveError
from optisolve.plotting.figures import KINDS, StageSpan, credit_figure, solution_figure, stages_figure
from optisolve.plotting.series import axis_text
from optisolve.plotting.style import FORMATS, PALETTE, figure_bytes, looks_of
from optisolve.run.schema import SourcePart
from tests.plotting.conftest import SOLVERS, solved


def words(figure):
    """All texts of a figure's legends."""
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
    return [text.get_text() for legend in legends for text in (*legend.get_texts(), legend.get_title())]


def covered(figure):
    """Points, and pieces of lines, that lie under a legend inside of the axes."""
    figure.draw_without_rendering()
    found = []
    for axes in figure.axes:
        legend = axes.get_legend()
        if legend is None:
            continue
        box = legend.get_window_extent()
        for line in axes.lines:
            points = line.get_transform().transform(np.column_stack(line.get_data(orig=False)).astype(float))
            if line.get_linestyle() not in ("None", "none", ""):
                between = [np.linspace(a, b, 50) for a, b in itertools.pairwise(points)]
                points = np.vstack([points, *between])
            found += [line.get_label() for x, y in points if box.x0 < x < box.x1 and box.y0 < y < box.y1]
    return found


@pytest.mark.parametrize("width", [3.5, 5.0, 7.0])
@pytest.mark.parametrize("kind", ["front", "convergence", "attainment", "parallel"])
def test_a_legend_covers_nothing_and_stands_inside_of_the_figure(uav, kind, width):
    figure = optisolve.plot(uav, kind, width=width)
    assert not covered(figure)
    for legend in [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]:
        box, page = legend.get_window_extent(), figure.bbox
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1


@pytest.mark.parametrize("width", [3.5, 7.0])
@pytest.mark.parametrize("kind", ["front", "convergence", "attainment", "parallel", "map"])
def test_no_text_is_cut_off_by_the_edge(uav, kind, width):
    figure = optisolve.plot(uav[:1] if kind == "map" else uav, kind, width=width)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    ticks = [text for text in axes.get_xticklabels() if left <= text.get_position()[0] <= right]
    ticks += [text for text in axes.get_yticklabels() if low <= text.get_position()[1] <= high]  # matplotlib draws no others
    for text in (axes.xaxis.label, axes.yaxis.label, *axes.texts, *ticks):
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 >= -1, text
            assert box.x1 <= figure.bbox.x1 + 1, text
            assert box.y0 >= -1, text
            assert box.y1 <= figure.bbox.y1 + 1, text


def test_axes_say_in_words_what_they_show_in_which_unit_and_where_better_is(uav):
    axes = optisolve.plot(uav).axes[0]
    x, y = (" ".join(text.split()) for text in (axes.get_xlabel(), axes.get_ylabel()))
    assert x == "Proportional-fair network utility in nat (→ better)"
    assert y == "Mean bound on the localization error in m (← better)"
    assert not axes.get_title(loc="left")  # a paper has captions


@pytest.mark.parametrize("name", ["offloading", "power_control/max_min", "maze", "beamforming", "cell_free", "pymoo/re34"])
def test_no_axis_carries_a_code_name_with_underscores(name):
    for objective in optisolve.load_problem(name).instance(0).objectives:
        text = axis_text(objective)
        assert "_" not in text
        assert re.search(r"\([→←]\u00a0better\)$", text)


def test_twelve_series_differ_in_color_and_marker_and_neighbors_in_dashes():
    looks = list(looks_of(f"s{i}" for i in range(12)).values())
    assert len({look.color for look in looks}) == len({look.marker for look in looks}) == 12
    assert all(a.dashes != b.dashes for a, b in itertools.pairwise(looks))
    more = looks_of(f"s{i}" for i in range(40)).values()
    assert len({(look.color, look.marker, str(look.dashes)) for look in more}) == 40


def _lab(color):
    """CIE L*a*b*, D65."""
    rgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ (r, g, b)
    f = [v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz / (0.9505, 1.0, 1.089)]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def test_no_two_of_the_twelve_colors_are_alike():
    """23 is ten times a just noticeable difference (CIE76)."""
    assert all(math.dist(_lab(a), _lab(b)) > 23 for a, b in itertools.combinations(PALETTE, 2))


def test_every_series_of_a_plot_has_its_own_color_and_marker(uav):
    axes = optisolve.plot(uav).axes[0]
    drawn = [line for line in axes.lines if line.get_label() in SOLVERS]
    assert len({(line.get_color(), line.get_marker()) for line in drawn}) == len(SOLVERS)
    assert len({line.get_color() for line in drawn}) == len({line.get_marker() for line in drawn}) == len(SOLVERS)


@pytest.mark.parametrize("kind", ["front", "parallel"])
def test_no_objective_is_dropped(three_objectives, kind):
    figure = three_objectives.plot(kind)
    texts = [text for a in figure.axes for text in (a.xaxis.label, a.yaxis.label, *a.get_xticklabels())]
    names = " ".join(text.get_text() for text in texts)
    assert all(name in names for name in ("f1", "f2", "f3"))
    if kind == "front":
        pairs = {(a.get_xlabel()[:2], a.get_ylabel()[:2]) for a in figure.axes if a.get_visible()}
        assert len([a for a in figure.axes if a.get_visible()]) == 3
        assert ("f1", "f3") in pairs


def test_parallel_coordinates_put_better_up_whatever_the_sense(uav):
    axes = optisolve.plot(uav[:1], "parallel").axes[0]
    F = uav[0].F
    told = [text.get_text() for text in axes.texts]
    assert f"{F[:, 0].max():.4g} nat" in told  # utility is maximized, so the largest stands on top
    assert f"{F[:, 1].min():.4g} m" in told
    assert max(t.get_position()[1] for t in axes.texts if t.get_text() == f"{F[:, 1].min():.4g} m") > 1.0


def test_one_point_is_shown_as_a_value(one_point):
    axes = one_point.plot("convergence").axes[0]
    (point,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert point.get_ydata()[0] == pytest.approx(one_point.F[0, 0])
    low, high = axes.get_ylim()
    assert low < one_point.F[0, 0] < high
    assert any("after 1 evaluation" in text.get_text() for text in axes.texts)
    assert any("certified optimum" in text for text in words(axes.figure))


def test_one_point_of_a_front_carries_its_values():
    result = solved("uav_isac", "null")
    first = next(i for i, ok in enumerate(result.record.verified.feasible) if ok)
    verified = result.record.verified.model_copy(
        update={"feasible": [i == first for i in range(len(result.record.verified.feasible))]}
    )
    alone = result.record.model_copy(update={"verified": verified, "reference": None})
    axes = optisolve.plot(alone, "front").axes[0]
    assert [text.get_text() for text in axes.texts if "nat" in text.get_text()]


def test_a_flat_curve_has_no_offset_at_its_axis(flat):
    figure = flat.plot("convergence")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert axes.yaxis.get_offset_text().get_text() == ""
    low, high = axes.get_ylim()
    assert high - low > 1e-3 * abs(low)
    assert any("certified optimum" in text for text in words(figure))


def test_values_of_a_search_fill_their_axis(uav):
    """The axis does not begin at zero when no curve is there after the first evaluations."""
    axes = optisolve.plot([result for result in uav if result.record.solver.name != "random_search"]).axes[0]
    late = min(result.hypervolume for result in uav)
    curves = optisolve.plot(uav, "convergence").axes[0]
    low, high = curves.get_ylim()
    assert low < late < high
    assert axes.get_xlim()[0] > -60  # nor are points squeezed


def test_what_is_known_is_drawn_and_named(uav, flat):
    assert "best known front" in words(optisolve.plot(uav))
    target = next(text for text in words(optisolve.plot(uav, "convergence")) if text.startswith("best known front "))
    assert float(target.split()[-1]) == pytest.approx(uav[0].record.scores.gap_scale, abs=1e-4)
    assert "certified optimum 2.0371" in words(flat.plot())


def test_a_bound_far_away_is_told_and_not_drawn(flat):
    told = flat.record.reference.model_copy(update={"evidence": "dual_bound", "dual_bound": 50.0})
    figure = optisolve.plot(flat.record.model_copy(update={"reference": told}))
    assert "proven bound 50, above the axes" in words(figure)
    assert figure.axes[0].get_ylim()[1] < 10


@pytest.mark.parametrize(("seeds", "told"), [(3, "smallest to largest"), (5, "quartiles")])
def test_bands_over_seeds_say_what_they_are(seeds, told):
    runs = [solved("power_control", "random_search", seed=seed, evaluations=20) for seed in range(seeds)]
    figure = optisolve.plot(runs, "convergence")
    assert told in words(figure)
    assert f"median of {seeds} seeds" in words(figure)
    (band,) = figure.axes[0].collections
    finals = sorted(result.scores["objective"] for result in runs)
    edges = (finals[0], finals[-1]) if seeds < 5 else np.quantile(finals, (0.25, 0.75))
    heights = band.get_paths()[0].vertices[:, 1]
    assert any(np.isclose(heights, edges[0]))
    assert any(np.isclose(heights, edges[1]))


def test_attainment_surfaces_separate_what_is_attained(uav):
    """Where the line is, half of the runs dominate a point a little worse, and fewer a point a little better."""
    runs = [result for result in uav if result.record.solver.name == "nsga2"]
    axes = optisolve.plot(runs, "attainment").axes[0]
    line = next(line for line in axes.lines if len(line.get_xdata()) > 3 and line.get_marker() in ("None", None, ""))
    x, y = line.get_data()
    step = 1e-6
    for a, b in itertools.pairwise(zip(x, y, strict=True)):
        if a[1] == b[1] and a[0] > b[0]:  # a level piece, away from its corners
            at = 0.5 * (a[0] + b[0])
            for shift, enough in ((step, True), (-step, False)):
                attained = sum(((r.F[:, 0] >= at) & (r.F[:, 1] <= a[1] + shift)).any() for r in runs)
                inside = axes.get_xlim()[0] < at
                assert (attained >= 2) == enough or not inside


def test_the_scoring_box_is_drawn_when_points_lie_outside(uav):
    result = uav[0]
    corner = [float(np.median(result.F[:, 0])), float(result.F[:, 1].max()) + 0.1]
    box = result.record.scores.box.model_copy(update={"reference": corner})
    scores = result.record.scores.model_copy(update={"box": box})
    figure = optisolve.plot(result.record.model_copy(update={"scores": scores}))
    told = [text for text in words(figure) if "scoring box" in text]
    outside = int((result.F[:, 0] <= np.median(result.F[:, 0])).sum())
    assert told == [f"scoring box ({outside} of {len(result.F)} points outside)"]


def test_a_map_gives_every_uav_its_color_and_labels_that_do_not_overprint():
    instance = optisolve.load_problem("uav_isac/dense").instance(0)
    x = instance.null_policies()[next(iter(instance.null_policies()))][0]
    figure = solution_figure(instance, x, width=3.5)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    stations = [line for line in axes.lines if line.get_marker() == "^"]
    assert len({line.get_color() for line in stations}) == len(stations) == 8
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 8
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    told = words(figure)
    assert "8 UAVs at 200 m altitude, number and power" in told
    assert "60 users, each joined to its UAV" in told
    neutral = {line.get_color() for legend in figure.legends for line in legend.get_lines()}
    assert not neutral & {line.get_color() for line in stations}


@pytest.mark.parametrize("name", ["power_control", "parallel_channels", "power_game", "resource_allocation"])
def test_bars_are_called_powers_and_their_axes_are_named(name):
    instance = optisolve.load_problem(name).instance(0)
    x = instance.project(instance.space.sample(np.random.default_rng(0), 1))[0]
    axes = solution_figure(instance, x).axes[0]
    assert instance.picture == "powers"
    assert axes.get_ylabel()
    assert axes.get_xlabel()


@pytest.mark.parametrize("name", ["uav_isac", "noma_uav", "maze"])
def test_maps_are_called_so_and_their_axes_are_named(name):
    instance = optisolve.load_problem(name).instance(0)
    x = instance.project(instance.space.sample(np.random.default_rng(0), 1))[0]
    axes = solution_figure(instance, x, width=3.5).axes[0]
    assert instance.picture == "map"
    assert axes.get_xlabel()
    assert axes.get_ylabel()


def source(gain):
    return SourcePart(evaluations=10, objective_gain=gain)


def test_shares_of_a_gain_of_nothing_are_not_drawn():
    instance = optisolve.load_problem("power_control").instance(0)
    sources = {"random_start": source(3.9e-7), "given_start": source(0.0)}
    figure = credit_figure(sources, instance, reached=2.03)
    assert any("no source gained anything" in text for text in words(figure))
    assert len(figure.axes[0].patches) == 2  # evaluations alone
    real = credit_figure({"a": source(0.3), "b": source(0.1)}, instance, reached=2.03)
    assert len(real.axes[0].patches) == 4


def test_stages_of_a_chain_stand_behind_its_curve_and_say_what_they_gained():
    instance = optisolve.load_problem("uav_isac").instance(0)
    spans = [
        StageSpan("null", 0, 3, 0.4),
        StageSpan("a", 3, 23, 0.1),
        StageSpan("b", 23, 60, 0.05),
        StageSpan("a", 60, 80, 0.01),
    ]
    figure = stages_figure(spans, np.array([1.0, 3.0, 23.0, 80.0]), np.array([np.nan, 0.4, 0.5, 0.56]), instance)
    assert len(figure.axes[0].patches) == 4
    told = words(figure)
    assert {"null: 0.4000 by 3 evaluations", "a: 0.1100 by 40 evaluations", "b: 0.0500 by 37 evaluations"} <= set(told)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_numbers_give_the_same_bytes(uav, kind):
    one, two = (figure_bytes(optisolve.plot(uav[:3], width=3.5), kind) for _ in range(2))
    assert one == two
    assert b"CreationDate" not in one


def test_fonts_are_embedded_as_truetype(uav, tmp_path):
    uav[0].plot(width=3.5).savefig(tmp_path / "front.pdf")
    data = (tmp_path / "front.pdf").read_bytes()
    assert b"/FontFile2" in data
    assert b"/Type3" not in data
    assert re.search(rb"/MediaBox \[ ?0 0 252 ", data)  # 3.5 in of 72 points


def test_axes_of_somebody_else_keep_their_style_and_are_returned(uav):
    figure = Figure(figsize=(4, 3))
    axes = figure.add_subplot()
    axes.tick_params(labelsize=13)
    assert optisolve.plot(uav, ax=axes) is axes
    assert axes.get_xlabel()
    assert axes.xaxis.get_tick_params()["labelsize"] == 13
    assert figure.get_size_inches().tolist() == [4, 3]
    assert not covered(figure)


def test_a_dark_style_stays_readable(uav):
    """What is known is drawn in the color of that style's words."""
    figure = Figure(facecolor="black")
    axes = figure.add_subplot(facecolor="black")
    axes.xaxis.label.set_color("#fafafa")
    optisolve.plot(uav, "convergence", ax=axes)
    known = next(line for line in axes.lines if len(set(line.get_ydata())) == 1 and line.get_color() == "#fafafa")
    assert known.get_ydata()[0] == pytest.approx(uav[0].record.scores.gap_scale, abs=1e-9)


def test_no_figure_stays_behind(uav):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    uav[0].plot()
    assert plt.get_fignums() == before
    assert uav[0].plot()._repr_png_().startswith(b"\x89PNG")


def test_errors_name_what_was_given_and_what_would_do(uav, flat, three_objectives):
    cases = (
        (lambda: uav[0].plot("frnt"), f"expected one of {', '.join(KINDS)}"),
        (lambda: flat.plot("front"), "needs two objectives; power_control, instance 0 has one"),
        (lambda: three_objectives.plot("attainment"), "has 3"),
        (lambda: three_objectives.plot("map"), "has no picture of a solution"),
        (lambda: optisolve.plot([uav[0], flat]), "records of 2 different instances"),
        (lambda: optisolve.plot(uav, "map"), "a map shows one solution"),
        (lambda: optisolve.plot([]), "nothing to draw"),
        (lambda: optisolve.plot(3), "expected a Result"),
        (lambda: optisolve.plot("nowhere"), "no record.json"),
    )
    for draw, expected in cases:
        with pytest.raises(OptisolveError, match=re.escape(expected)):
            draw()
    with pytest.raises(OptisolveError, match="parallel"):
        optisolve.plot(three_objectives, ax=Figure().add_subplot())


def test_solvers_of_one_name_are_told_apart_by_what_differs():
    runs = [solved("power_control", "cma_es", evaluations=n) for n in (20, 40)]
    assert {"cma_es, evaluations=20", "cma_es, evaluations=40"} <= set(words(optisolve.plot(runs)))


def test_a_stand_in_for_a_language_model_is_named_as_one():
    result = solved("uav_isac", "ledma", evaluations=100)
    assert "ledma (surrogate)" in words(optisolve.plot(result))


def test_repetitions_count_once(uav):
    axes = optisolve.plot([uav[0], uav[0]]).axes[0]
    assert len([line for line in axes.lines if isinstance(line, Line2D) and line.get_label() == "moead_de"]) == 1
    assert not any("seeds" in text for text in words(axes.figure))
