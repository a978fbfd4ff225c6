"""What is wrong with a model config is said by name."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

from fxtrade import models
from fxtrade.core.errors import ConfigError


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("wavnet", {}, r"there is no model 'wavnet'; did you mean 'wavenet'\? \(known: .*tcn.*, wavenet\)"),
        ("tcn", {"chanels": 8}, "model 'tcn' has no option 'chanels'; did you mean 'channels'"),
        ("tcn", {"classes": 3}, "model 'tcn' has no option 'classes'"),
        ("tcn", {"parent": None}, "model 'tcn' has no option 'parent'"),
        ("tcn", {"channels": 8.0}, "model 'tcn': option channels must be int, got 8.0"),
        ("tcn", {"channels": True}, "option channels must be int, got True"),
        ("tcn", {"channels": 0}, "option channels must be at least 1, got 0"),
        ("wavenet", {"symbol_embedding": 1}, "model 'wavenet': option symbol_embedding must be bool, got 1"),
        ("wavenet", {"dropout": "0.1"}, "option dropout must be float"),
        ("wavenet", {"dropout": 1.0}, r"option dropout must be in \[0, 1\), got 1.0"),
        ("wavenet", {"dropout": -0.1}, r"option dropout must be in \[0, 1\)"),
        ("wavenet", {"dropout": float("nan")}, r"option dropout must be in \[0, 1\)"),
        ("wavenet", {"dtype": "float8"}, "model 'wavenet': option dtype must be 'float32', 'bfloat16' or 'float16'"),
        ("wavenet", {"dtype": jnp.float32}, "option dtype must be"),
    ],
)
def test_what_does_not_fit(name, options, message):
    with pytest.raises(ConfigError, match=message):
        models.build(name, options)


def test_what_fits():
    model = models.build(
        "wavenet", {"channels": 4, "dropout": 0, "dtype": "bfloat16", "symbol_embedding": False}, classes=3
    )
    assert (model.channels, model.dropout, model.says.classes, model.symbol_embedding) == (4, 0, 3, False)
    assert model.dtype == jnp.bfloat16
