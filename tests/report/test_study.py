"""The report of a feature study, from one column to many and with every number that may be missing."""

from __future__ import annotations

import dataclasses
import io
import re

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from rich.console import Console as Rich

from fxtrade.report import plotting, study, study_plots
from fxtrade.report.progress import Console
from fxtrade.report.study_schema import StudyReport
from tests.helpers.study_sample import AWKWARD, report

awkward = pytest.mark.parametrize("name", AWKWARD)


def shown(made: StudyReport, tmp_path, width: int = 0) -> str:
    """What the terminal says; in a pipe if it has no width."""
    console = Console()
    file = io.StringIO()
    console.rich = Rich(
        file=file, width=width or 80, force_terminal=bool(width), highlight=False, soft_wrap=True, color_system=None
    )
    study.table(console, made, tmp_path)
    return file.getvalue()


@awkward
def test_everything_is_written(tmp_path, name):
    study.write(tmp_path, AWKWARD[name])
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"study.md", *(f"{n}.png" for n in study.CAPTIONS)}
    text = (tmp_path / "study.md").read_text()
    assert not re.search(r"\b(None(?! of)|nan|inf)\b", text)
    for plot in study.CAPTIONS:
        picture = imread(tmp_path / "plots" / f"{plot}.png")
        assert 0.01 < (picture[..., :3] < 0.98).any(-1).mean() < 0.9
        assert f"](plots/{plot}.png)" in text


@awkward
def test_every_column_has_a_readable_row(name):
    size = min(len(AWKWARD[name].columns), study.SHOWN)
    for plot, figure in study_plots.figures(AWKWARD[name]).items():
        plotting.pixels(figure)
        ticks = figure.axes[0].get_yticklabels()
        assert len(ticks) == size, plot
        boxes = sorted((t.get_window_extent() for t in ticks), key=lambda b: b.y0)
        for below, above in zip(boxes, boxes[1:], strict=False):
            assert above.y0 >= below.y1 - 2, f"{plot}: names overlap"
        assert min(b.x0 for b in boxes) >= 0
        assert 2.8 <= figure.get_figheight() <= 15, plot


@pytest.mark.parametrize("width", [0, 60, 120])
@awkward
def test_the_terminal_shows_the_strongest(tmp_path, name, width):
    text = shown(AWKWARD[name], tmp_path, width)
    assert text.splitlines()[-1] == f"report: {tmp_path / 'study.md'}"
    assert not re.search(r"\b(None(?! of)|nan|inf)\b", text)
    rows = [line for line in text.splitlines() if re.match(r" c\d+ ", line)]
    assert len(rows) == min(len(AWKWARD[name].columns), study.SHOWN)
    if width:
        assert max(len(line) for line in text.splitlines()[: len(rows)]) <= width


def test_columns_are_in_order_of_their_largest_discovery(tmp_path):
    lines = shown(report(6, 3), tmp_path).splitlines()
    rows = [line.split() for line in lines if re.match(r" c\d+ ", line)]
    assert [r[0] for r in rows[:3]] == ["c0", "c1", "c2"]
    assert rows[0][1:6] == ["16", "0.200", "[0.180,", "0.220]", "0.025"]
    assert rows[0][6:9] == ["<1e-9", "<1e-9", "100"] and rows[0][-1] == "1*" and rows[1][-1] == "1"


@pytest.mark.parametrize(
    "made, words",
    [
        (report(6, 0), "None of 12 tests is a discovery at a false discovery rate of 5 %."),
        (report(6, 1), "1 of 12 tests is a discovery at a false discovery rate of 5 %, in 1 of 6 columns;"),
        (report(6, 3, (5,)), "3 of 10 tests (2 more are undefined) are discoveries at a false discovery rate of 5 %"),
    ],
)
def test_the_summary(made, words):
    assert study.summary(made).startswith(words)
    assert words in study.document(made, ())


def test_a_short_table_opens_the_report():
    table, prose = study.document(report(6, 3), ()).split("\n\n")[2:4]
    assert table.splitlines()[2:] == [
        "| discoveries | 3 of 12 tests |",
        "| columns with a discovery | 3 of 6 |",
        "| clearest column | `c0`, IC 0.200 [0.180, 0.220] over 16 bars |",
        "| periods in which it has that sign | 100 % |",
        "| clusters of redundant columns | 3 of 6 columns |",
    ]
    assert prose.startswith("**3 of 12 tests")


def test_the_document_tells_of_horizons_and_clusters():
    text = study.document(report(6, 2), ("ic",))
    assert "| 16 | 2 | 6 | 0.2000 | `c0` |" in text
    assert "3 clusters of 6 columns" in text and "| 1 | `c0` | `c1` |" in text
    assert "**`c0`**" in text and "**`c3`**" not in text and "| `c3` |" in text
    assert "plots/ic.png" in text and "plots/columns.png" not in text
    assert "2,065 bars" in text and "the test span was not read" in text


def test_tables_stop_at_the_strongest():
    text = study.document(AWKWARD["many"], ())
    assert "The strongest 60 of 80 columns" in text
    assert "**`c59`**" in text and "**`c60`**" not in text


class TestPlots:
    def test_discoveries_are_framed(self):
        axes = study_plots.horizons(report(6, 3)).axes[0]
        frames = [p for p in axes.patches if isinstance(p, Rectangle)]
        assert sorted((round(p.get_x() + 0.49), round(p.get_y() + 0.47)) for p in frames) == [(1, 0), (1, 1), (1, 2)]

    def test_the_horizon_with_most_discoveries_is_drawn(self):
        made = report(6, 3)
        assert study_plots.best(made) == 16
        axes = study_plots.columns(made).axes[0]
        assert axes.get_title(loc="left") == "IC over the next 16 bars"
        assert [t.get_text() for t in axes.get_yticklabels()][-3:] == ["c2", "c1", "c0"]

    def test_without_discoveries_the_clearest_test_decides(self):
        made = report(6, 0)
        clear = dataclasses.replace(made.tests[4], p=0.01)
        assert study_plots.best(dataclasses.replace(made, tests=(clear, *made.tests))) == clear.horizon == 1

    def test_intervals_and_null_quantiles_are_those_of_the_tests(self):
        axes = study_plots.columns(report(6, 2, (4,))).axes[0]
        bands = [p for p in axes.patches if isinstance(p, Rectangle)]
        assert sorted(p.get_width() for p in bands) == pytest.approx([0] + [0.05] * 5)
        (found,) = (c for c in axes.containers if c.get_label().startswith("discovery"))
        np.testing.assert_allclose(found[0].get_xdata(), [0.19, 0.2])
        ends = [segment[:, 0] for segment in found[2][0].get_segments()]
        np.testing.assert_allclose(ends, [[0.17, 0.21], [0.18, 0.22]])

    def test_small_coefficients_look_small(self):
        norm = study_plots.horizons(report(6, 0)).axes[0].images[0].norm
        assert (norm.vmin, norm.vmax) == (-study_plots.FAINT, study_plots.FAINT)
        assert study_plots.horizons(report(6, 1)).axes[0].images[0].norm.vmax == pytest.approx(0.2)

    def test_missing_periods_are_left_out_of_the_heat(self):
        image = study_plots.stability(report(6, 2)).axes[0].images[0].get_array()
        assert image.shape == (6, 3) and image.mask[:, 2].all() and not image.mask[:, :2].any()
        assert image[0, 0] == pytest.approx(0.2) and image[0, 1] == pytest.approx(-0.2)

    def test_clusters_stand_together_in_frames(self):
        made = report(6, 2)
        places = zip(made.columns, (4, 5, 0, 1, 2, 3), strict=True)
        made = dataclasses.replace(made, columns=tuple(dataclasses.replace(c, place=p) for c, p in places))
        axes = study_plots.redundancy(made).axes[0]
        labels = [t.get_text() for t in axes.get_yticklabels()]
        assert labels == ["c2 (2)", "c3 (2)", "c4 (3)", "c5 (3)", "c0 (1)", "c1 (1)"]
        frames = sorted((p.get_x(), p.get_width()) for p in axes.patches)
        assert frames == [(-0.5, 2), (1.5, 2), (3.5, 2)]
        image = axes.images[0].get_array()
        np.testing.assert_allclose(np.diag(image), 1)
        assert image[0, 4] == pytest.approx(made.correlation[2][0])
