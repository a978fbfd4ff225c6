from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest
from matplotlib.image import imread

from fxtrade.core.errors import FxtradeError
from fxtrade.evaluate.results import Estimate
from fxtrade.report import report
from fxtrade.report.progress import Console
from tests.helpers import report_sample


def test_write_leaves_a_whole_report(tmp_path):
    pictures = report.write(tmp_path, report_sample.report())
    text = (tmp_path / "report.md").read_text()
    links = re.findall(r"!\[.+\]\((.+)\)", text)
    assert sorted(links) == sorted(f"plots/{name}.png" for name in pictures) and len(links) == 6
    for name, picture in pictures.items():
        stored = imread(tmp_path / "plots" / f"{name}.png")
        np.testing.assert_array_equal(np.round(255 * stored).astype(np.uint8), picture)
    assert not list(tmp_path.rglob("*.part"))


def test_write_again_replaces(tmp_path):
    report.write(tmp_path, report_sample.sparse())
    (tmp_path / "report.md").write_text("old")
    report.write(tmp_path, report_sample.sparse())
    assert (tmp_path / "report.md").read_text().startswith("# wavenet on")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FxtradeError, match="file"):
        report.write(tmp_path / "file", report_sample.sparse())


def printed(made, folder) -> str:
    console = Console(file=io.StringIO())
    console.rich.width = 80
    report.table(console, made, folder)
    return console.rich.file.getvalue()


def test_table_fits_on_a_screen(tmp_path):
    made = report_sample.report("simulated market (planted edge)", best=0.6)
    more = {name: report_sample.table(0.5) for name in ("reversal", "momentum", "last taker side")}
    made = report_sample.replace(made, baselines={**made.baselines, **more})
    text = printed(made, tmp_path)
    lines = text.splitlines()
    assert len(lines) <= 35 and "…" not in text
    assert all(len(line) <= 80 for line in lines if "report.md" not in line)
    for words in ("wavenet", "54.0", "null baseline: shuffled", "+20.0 %", "1.5 [0.5, 2.5]", "survives these costs"):
        assert words in text
    assert lines[-1] == f"report: {tmp_path / 'report.md'}"


def test_wide_numbers_are_not_cut(tmp_path):
    made = report_sample.report(total=39_885, sharpe=-111.1, trading__strategy__dsr=0.0)
    text = printed(made, tmp_path)
    assert "…" not in text and "-111.1 [-112.1, -110.1]" in text and "< 0.1 %" in text and "x 39,900" in text


def test_table_warns(tmp_path):
    assert "Leak?" in printed(report_sample.report(own=0.6), tmp_path)
    assert "Leak?" not in printed(report_sample.report(), tmp_path)


@pytest.mark.parametrize("missing", [math.nan, math.inf])
def test_table_takes_numbers_that_are_missing(tmp_path, missing):
    made = report_sample.report(trading__strategy__sharpe=Estimate(missing), trading__strategy__dsr=missing)
    rows = (*made.accuracy[:2], report_sample.replace(made.accuracy[2], accuracy=missing, low=missing, high=missing))
    text = printed(report_sample.replace(made, accuracy=rows), tmp_path)
    assert not re.search(r"\b(nan|inf|None)\b", text) and "–" in text
    assert "wavenet" in printed(report_sample.sparse(), tmp_path)
