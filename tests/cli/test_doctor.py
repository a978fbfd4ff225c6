"""Advice follows from what the machine has, whatever machine the tests run on."""

import pytest

from fxtrade.cli import doctor
from fxtrade.report.progress import Console

GOOD = {"jax": "0.10.2", "flax": "0.12.8", "orbax-checkpoint": "0.12.8"}


@pytest.mark.parametrize(
    ("cards", "backend", "have", "words"),
    [
        (set(), "cpu", GOOD, "Nothing to mend"),
        ({"nvidia"}, "cpu", GOOD, "[cuda]"),
        ({"intel"}, "cpu", GOOD, "[xpu]"),
        (set(), "none", GOOD, "JAX_PLATFORMS=cpu"),
        (set(), "cpu", GOOD | {"intel-extension-for-openxla": "0.7.0"}, "needs jax 0.5.0"),
        (set(), "cpu", GOOD | {"flax": "0.10.4"}, "constraints/xpu.txt"),
        (set(), "cpu", GOOD | {"orbax-checkpoint": "0.11.24"}, "constraints/xpu.txt"),
    ],
)
def test_advice(cards, backend, have, words):
    assert words in "\n".join(doctor.advice(cards, backend, have))


def test_a_card_that_is_used_needs_no_advice():
    assert doctor.advice({"nvidia"}, "gpu", GOOD)[0].startswith("Nothing to mend")


def test_what_is_shown(capsys):
    doctor.show(Console())
    shown = capsys.readouterr().out
    for what in ("fxtrade", "python", "jax", "JAX backend", "devices", "float64 for money", "compilation cache"):
        assert what in shown


def test_a_backend_that_does_not_start_is_a_finding(monkeypatch):
    def fail():
        raise RuntimeError("no device found\nmore")

    monkeypatch.setattr(doctor.jax, "devices", fail)
    assert doctor.backend() == [doctor.Finding("JAX backend", "does not start: no device found", False)]
