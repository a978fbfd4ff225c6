from __future__ import annotations

import dataclasses
import json

import pytest

from fxtrade.core.config import LabelConfig, RunConfig, ScalerConfig
from fxtrade.core.errors import FxtradeError
from fxtrade.runs import provenance
from fxtrade.runs.record import Identity, Period, RunRecord, RunResult, Spans

MARCH = 1_709_251_200_000_000_001  # ns, more digits than a float has
RECORD = RunRecord(
    Identity(
        model="wavenet",
        model_options={"channels": "4"},
        head_spec=(2, 0, 0),
        features={"log_return": {"horizons": (1, 2)}},
        columns=("log_return_1", "log_return_2"),
        scaler=ScalerConfig(halflife=50.0),
        symbols=("BTC", "ETH"),
        interval="1h",
        label=LabelConfig(horizon=3),
        horizons=(6,),
        data_fingerprint="9f",
    ),
    Spans((Period(MARCH, MARCH + 1),), (Period(MARCH + 2, MARCH + 3), Period(MARCH + 5, MARCH + 6)), ()),
    provenance.provenance(RunConfig(name="me"), "9f"),
)


@pytest.mark.parametrize("result", [None, RunResult(1.5, None, {"accuracy": 0.5}), RunResult(1.5, 0.25, {})])
def test_it_comes_back_to_the_nanosecond(tmp_path, result):
    record = dataclasses.replace(RECORD, result=result)
    record.write(tmp_path / "run.json")
    assert RunRecord.read(tmp_path / "run.json") == record


def test_every_start_is_kept_and_old_records_have_one(tmp_path):
    first = RECORD.provenance.environment.starts
    assert [start.command for start in first] == [RECORD.provenance.environment.command]
    again = provenance.provenance(RunConfig(name="me"), "9f", first)
    dataclasses.replace(RECORD, provenance=again).write(tmp_path / "run.json")
    assert RunRecord.read(tmp_path / "run.json").provenance.environment.starts == (*first, again.environment.starts[-1])
    old = json.loads(RECORD.to_json())
    del old["provenance"]["environment"]["earlier"]
    assert RunRecord.from_json(json.dumps(old), "run.json").provenance.environment.starts == first


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": 99}', '{"version": 1}'])
def test_what_is_damaged_or_of_another_version_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(FxtradeError, match="run.json"):
        RunRecord.read(tmp_path / "run.json")


@pytest.mark.parametrize(
    "first, last, overlap", [(0, 9, False), (0, 10, True), (12, 13, True), (20, 30, True), (21, 30, False)]
)
def test_periods_overlap_where_they_share_a_moment(first, last, overlap):
    assert Period(10, 20).overlaps(Period(first, last)) == Period(first, last).overlaps(Period(10, 20)) == overlap
