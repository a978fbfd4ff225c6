"""Errors in a model config name the model, the option and what is right."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

from fxtrade import models
from fxtrade.core.errors import ConfigError
from fxtrade.models import HeadSpec


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
        ("wavenet", {"dropout": 1.0}, r"WaveNet: option dropout must be in \[0, 1\), got 1.0"),
        ("wavenet", {"dropout": -0.1}, r"option dropout must be in \[0, 1\)"),
        ("wavenet", {"dropout": float("nan")}, r"option dropout must be in \[0, 1\)"),
        (
            "wavenet",
            {"dtype": "float8"},
            "option dtype must be 'float32', 'bfloat16', 'float16' or 'float64', got 'float8'",
        ),
        ("wavenet", {"dtype": jnp.float32}, "option dtype must be 'float32'"),
        ("cnn_lstm", {"front": "incepton"}, r"'cnn_lstm': option front must be 'conv' or 'inception', got 'incepton'"),
        (
            "wavenet",
            {"condition": "all"},
            "'wavenet': option condition must be 'none', 'asset', 'market' or 'both', got 'all'",
        ),
        (
            "gnn",
            {"graph": "corelation"},
            "model 'gnn': option graph must be 'full', 'learnt' or 'correlation', got 'corelation'",
        ),
        ("gnn", {"message": "gat"}, r"'gnn': option message must be 'attention' or 'convolution', got 'gat'"),
        ("gnn", {"channels": 10, "heads": 4}, "model 'gnn': 10 channels do not divide among 4 heads"),
        ("gnn", {"graph": "correlation", "window": 3}, "model 'gnn': option window must be at least 4 bars, got 3"),
        (
            "transformer",
            {"positions": "rotry"},
            "'transformer': option positions must be 'rotary', 'alibi' or 'sinusoidal', got 'rotry'",
        ),
        ("transformer", {"head_channels": 3}, "'transformer': option head_channels must be even for rotary positions"),
        ("attention_tcn", {"head_channels": 5, "positions": "sinusoidal"}, "even for sinusoidal positions, got 5"),
        ("lru", {"channels": 9}, "model 'lru': option channels must be even, got 9"),
        ("cnn_lstm", {"hidden": 7}, "model 'cnn_lstm': option hidden must be even, got 7"),
        ("attention_tcn", {"place": "abov"}, "'attention_tcn': option place must be 'above' or 'between', got 'abov'"),
    ],
)
def test_what_does_not_fit(name, options, message):
    with pytest.raises(ConfigError, match=message):
        models.build(name, options)


def test_what_fits():
    model = models.build(
        "wavenet", {"channels": 4, "dropout": 0, "dtype": "bfloat16", "symbol_embedding": False}, HeadSpec(3)
    )
    assert (model.channels, model.dropout, model.head_spec.classes, model.symbol_embedding) == (4, 0, 3, False)
    assert model.dtype == "bfloat16"
    assert models.build("transformer", {"head_channels": 3, "positions": "alibi"}).head_channels == 3
