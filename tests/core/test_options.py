"""Errors about names and values that people wrote."""

from __future__ import annotations

import pytest

from fxtrade.core.errors import ConfigError
from fxtrade.core.options import check_like, check_options, nearest


def test_nearest():
    assert nearest("wavnet", ["tcn", "wavenet"]) == "; did you mean 'wavenet'? (known: tcn, wavenet)"
    assert nearest("zzz", ["tcn"]) == " (known: tcn)"
    assert nearest("zzz", []) == " (known: none)"


def test_check_options():
    check_options(["windows"], {"windows": 3}, "feature 'x'")
    with pytest.raises(ConfigError, match="feature 'x' has no option 'window'; did you mean 'windows'"):
        check_options(["windows"], {"window": 3}, "feature 'x'")


@pytest.mark.parametrize(
    "default, good", [(1, 2), (0.5, 1), (0.5, 0.25), ((1, 2), [3]), (("a",), ("b", "c")), (True, False)]
)
def test_check_like_accepts(default, good):
    check_like(default, good, "here")


@pytest.mark.parametrize(
    "default, bad, message",
    [
        (1, 0, "here must be at least 1, got 0"),
        (1, 1.0, "here must be int, got 1.0"),
        (1, True, "here must be int, got True"),
        (True, 1, "here must be bool, got 1"),
        (0.5, "a", "here must be float, got 'a'"),
        ((1, 2), 5, r"here must be a list such as \(1, 2\), got 5"),
        ((1, 2), "12", "here must be a list"),
        ((1, 2), (), "here must be a list"),
        ((1, 2), (1, -2), "here must be at least 1, got -2"),
        (("a",), ("b", 3), "here must be str, got 3"),
    ],
)
def test_check_like_refuses(default, bad, message):
    with pytest.raises(ConfigError, match=message):
        check_like(default, bad, "here")
