"""Findings and advice of the doctor, whatever machine the tests run on."""

import pytest

from fxtrade.cli import doctor
from fxtrade.report.progress import Console

GOOD = {"jax": "0.10.2", "flax": "0.12.8", "orbax-checkpoint": "0.12.8"}


@pytest.mark.parametrize(
    ("cards", "backend", "versions", "words"),
    [
        (set(), "cpu", GOOD, "Nothing to fix"),
        ({"nvidia"}, "cpu", GOOD, "[cuda]"),
        ({"intel"}, "cpu", GOOD, "[xpu]"),
        (set(), "none", GOOD, "JAX_PLATFORMS=cpu"),
        (set(), "cpu", GOOD | {"intel-extension-for-openxla": "0.7.0"}, "needs jax 0.5.0"),
        (set(), "cpu", GOOD | {"flax": "0.10.4"}, "constraints/xpu.txt"),
        (set(), "cpu", GOOD | {"orbax-checkpoint": "0.11.24"}, "constraints/xpu.txt"),
    ],
)
def test_advice(cards, backend, versions, words):
    assert words in "\n".join(doctor.advice(cards, backend, versions))


def test_a_card_that_is_used_needs_no_advice():
    assert doctor.advice({"nvidia"}, "gpu", GOOD)[0].startswith("Nothing to fix")


def test_show_prints_all_findings(capsys):
    doctor.show(Console())
    shown = capsys.readouterr().out
    for name in ("fxtrade", "python", "jax", "JAX backend", "devices", "float64 for money", "compilation cache"):
        assert name in shown


def test_a_backend_that_does_not_start_is_a_finding(monkeypatch):
    def fail():
        raise RuntimeError("no device found\nmore")

    monkeypatch.setattr(doctor.jax, "devices", fail)
    assert doctor.backend() == [doctor.Finding("JAX backend", "does not start: no device found", False)]
