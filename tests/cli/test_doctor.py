"""Findings and advice of the doctor, whatever machine the tests run on."""

import pytest

from fxtrade.cli import doctor
from fxtrade.report.progress import Console
from tests.helpers import tiny

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


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("no device found\nmore"), "no device found"),
        (RuntimeError(""), "RuntimeError"),
        (AssertionError(), "no plugin for it is installed"),
    ],
)
def test_a_backend_that_does_not_start_is_a_finding(monkeypatch, error, reason):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")

    def fail():
        raise error

    monkeypatch.setattr(doctor.jax, "default_backend", fail)
    (finding,) = doctor.backend()
    assert finding.name == "JAX backend" and finding.ok is False
    assert finding.value.startswith(f"JAX does not start with JAX_PLATFORMS=cpu: {reason};")
    assert doctor.platform_name() == "none"


def test_without_a_home_folder_there_is_no_compilation_cache(monkeypatch):
    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(doctor.compat.Path, "home", fail)
    monkeypatch.delenv(doctor.compat.CACHE_VARIABLE, raising=False)
    assert doctor.compat.use_compilation_cache() is None
    assert doctor.Finding("compilation cache", doctor.NO_CACHE) in doctor.backend()


def test_a_platform_without_its_plugin():
    """In a process of its own, on what JAX itself does."""
    process = tiny.python("scripts/doctor.py", platforms="cuda")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "JAX does not start with JAX_PLATFORMS=cuda: no plugin for it is installed" in out
    assert "export JAX_PLATFORMS=cpu" in out
