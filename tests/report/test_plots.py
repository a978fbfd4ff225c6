from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer

from fxtrade.evaluate.results import GroupRow
from fxtrade.report import plots, plotting
from tests.helpers import report_sample


@pytest.fixture(scope="module")
def figures():
    return plots.figures(report_sample.report("simulated market (planted edge)", best=0.6))


def labels(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def ink(figure) -> float:
    """Share of the pixels that are not white."""
    picture = plotting.pixels(figure)
    assert picture.dtype == np.uint8 and picture.shape[2] == 4
    return float((picture[..., :3] < 250).any(-1).mean())


def test_every_plot_is_there_and_not_blank(figures):
    assert list(figures) == list(plots.PLOTS)
    for figure in figures.values():
        assert 0.01 < ink(figure) < 0.7


@pytest.mark.parametrize("name", plots.PLOTS)
def test_axes_are_named(figures, name):
    figure = figures[name]
    assert figure.axes[0].get_title(loc="left")
    for axes in figure.axes[: 1 if name == "costs" else None]:
        assert axes.get_ylabel() and ("(" in axes.get_ylabel() or axes.get_ylabel() == "forecasts")
    assert any(axes.get_xlabel() for axes in figure.axes)
    assert name == "costs" or len(labels(figure)) >= 2


def test_legends_lie_outside_the_axes(figures):
    for figure in figures.values():
        plotting.pixels(figure)
        for legend in figure.legends:
            box = legend.get_window_extent()
            assert all(box.y1 <= axes.get_window_extent().y0 for axes in figure.axes)
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1


def test_coverage_shows_the_fixed_thresholds(figures):
    axes = figures["coverage"].axes[0]
    drawn = {c.get_label(): c for c in axes.containers if isinstance(c, ErrorbarContainer)}
    line, _, (bars,) = drawn["wavenet, fixed thresholds"]
    np.testing.assert_allclose(line.get_xdata(), [0.097, 0.485, 0.97])
    np.testing.assert_allclose(line.get_ydata(), [58.5, 56.5, 54.0])
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, [[57.5, 59.5], [55.5, 57.5], [53.0, 55.0]])
    assert axes.get_xscale() == "log"


def test_best_possible_is_a_point_at_full_coverage(figures):
    (diamond,) = (line for line in figures["coverage"].axes[0].lines if line.get_marker() == "D")
    assert diamond.get_xydata().tolist() == [[1, 60]]
    assert not any("best possible" in text for text in labels(plots.coverage(report_sample.report())))


def test_the_two_strongest_baselines_are_drawn():
    made = report_sample.report()
    more = {"reversal": report_sample.table(0.6), "momentum": report_sample.table(0.4)}
    made = report_sample.replace(made, baselines={**made.baselines, **more})
    drawn = [text for text in labels(plots.coverage(made)) if text.startswith("baseline")]
    assert drawn == ["baseline: reversal", "baseline: logistic regression"]


def test_only_null_baselines_are_drawn_as_such():
    figure = plots.coverage(report_sample.report(label="volatility_direction"))
    assert [text for text in labels(figure) if "null baseline" in text] == ["null baseline: shuffled"]


def test_equity_is_logarithmic_only_over_a_large_range():
    assert plots.equity(report_sample.report(total=0.5)).axes[0].get_yscale() == "linear"
    assert plots.equity(report_sample.report(total=9.0)).axes[0].get_yscale() == "log"
    ruined = plots.equity(report_sample.report(total=-1.2))
    assert ruined.axes[0].get_yscale() == "linear" and ink(ruined) > 0.01


@pytest.mark.parametrize("days", [1, 4, 14, 60, 99, 101, 400, 1800])
def test_dates_have_their_year_and_do_not_overlap(days):
    made = report_sample.report()
    time = tuple(
        int(report_sample.START - 10 * report_sample.DAY + i * days / 99 * report_sample.DAY) for i in range(100)
    )
    figure = plots.equity(report_sample.replace(made, trading__curve__time=time))
    plotting.pixels(figure)
    axes = figure.axes[1]
    shown = [text for text in axes.get_xticklabels() if axes.bbox.x0 <= text.get_window_extent().x1 <= figure.bbox.x1]
    assert 3 <= len(shown) <= 7
    assert all(text.get_text().startswith("20") for text in shown)
    boxes = [text.get_window_extent() for text in shown]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_the_cost_grid_is_where_its_axes_say(figures):
    axes = figures["costs"].axes[0]
    image = axes.images[0].get_array()
    fees = [text.get_text() for text in axes.get_xticklabels()]
    late = [text.get_text() for text in axes.get_yticklabels()]
    assert fees == ["0", "2", "5", "10", "20"] and late == ["0", "1", "5"]
    assert image[2, 3] == pytest.approx(1.5 - 0.1 * 10 - 0.2 * 5)
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written[3, 2] == "-0.50\n+10.0 %"


def test_training_marks_the_best_step(figures):
    axes = figures["training"].axes[0]
    (ring,) = (line for line in axes.lines if line.get_label().startswith("best"))
    assert ring.get_xydata().tolist() == [[400, 0.68]] and axes.get_xlim()[0] == 0
    assert ring.get_markerfacecolor() == "none"  # the loss inside stays visible, also where it is the only one
    level = [line for line in axes.lines if "log 2" in line.get_label()]
    assert level[0].get_ydata()[0] == pytest.approx(0.693147, abs=1e-6)


def test_chance_depends_on_the_classes():
    assert "uniform forecast: 33.3 %" in labels(plots.coverage(report_sample.report(classes=3)))
    assert "uniform forecast: log 3 = 1.0986" in labels(plots.training(report_sample.report(classes=3)))


def test_many_groups_stay_readable():
    months = tuple(GroupRow(f"{2015 + i // 12}-{1 + i % 12:02d}", 1_400, 0.54, 0.51, 0.57) for i in range(60))
    figure = plots.groups(report_sample.report(symbols=(), months=months))
    plotting.pixels(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].get_xticklabels()]
    assert all(left.x0 < right.x0 - 10 for left, right in zip(boxes, boxes[1:], strict=False))
    assert len(boxes) <= 16


def test_what_is_missing_is_left_out():
    assert list(plots.figures(report_sample.sparse())) == ["coverage"]


@pytest.mark.parametrize("seed, share", [(0, 0.3), (1, 0.3), (0, 1.0)])
def test_any_number_may_be_missing(seed, share):
    for figure in plots.figures(report_sample.with_holes(report_sample.report(), seed, share)).values():
        assert ink(figure) > 0.005


def test_colours_of_model_and_baseline_are_the_same_everywhere(figures):
    model = next(c for c in figures["coverage"].axes[0].containers if "fixed thresholds" in c.get_label())[0]
    strategy = next(line for line in figures["equity"].axes[0].lines if line.get_label().startswith("strategy"))
    assert to_hex(model.get_color()) == to_hex(strategy.get_color()) == plotting.BLUE.lower()
