"""The reports as values: every one comes back from JSON as it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.errors import FxtradeError
from fxtrade.report.schema import RunReport
from tests.helpers import comparison_sample, report_sample, study_sample

SAMPLES = (report_sample.report(), study_sample.report(), comparison_sample.report())
OTHERS = (report_sample.sparse(), *study_sample.AWKWARD.values(), *comparison_sample.AWKWARD.values())


@pytest.mark.parametrize("report", SAMPLES + OTHERS, ids=lambda r: type(r).__name__)
def test_reports_come_back(report):
    assert repr(type(report).from_json(report.to_json(), "report.json")) == repr(report)  # NaN is not equal to itself


@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.5, 1.0]))
def test_missing_numbers_come_back(seed, share):
    report = report_sample.with_holes(SAMPLES[0], seed, share)
    assert repr(RunReport.from_json(report.to_json(), "report.json")) == repr(report)


@pytest.mark.parametrize("report", SAMPLES, ids=lambda r: type(r).__name__)
def test_another_version_or_a_missing_field_is_refused(tmp_path, report):
    path, values, name = tmp_path / "report.json", json.loads(report.to_json()), type(report).__name__
    path.write_text(json.dumps(values | {"version": 0}))
    message = (
        f"{path} holds version 0 of {name}, this fxtrade reads {report.version}; run it again to recreate the file"
    )
    with pytest.raises(FxtradeError, match=message):
        type(report).read(path)
    del values["folder"]
    path.write_text(json.dumps(values))
    with pytest.raises(FxtradeError, match=f"{path}: {name} lacks the field 'folder'; run it again"):
        type(report).read(path)


def test_config_keys_of_another_version_are_named():
    values = json.loads(SAMPLES[0].to_json())
    values["config"]["train"]["keep"] = 3
    with pytest.raises(FxtradeError, match="r.json: RunReport.config.train has a field 'keep' that this version"):
        RunReport.from_json(json.dumps(values), "r.json")


def test_reports_of_before_the_learned_baselines_are_read():
    values = json.loads(SAMPLES[0].to_json())
    del values["learned_baselines"], values["config"]["report"]["baselines"]
    assert RunReport.from_json(json.dumps(values), "r.json").learned_baselines == {}
