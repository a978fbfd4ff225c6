"""The way from a config file to frozen dataclasses, and the errors on it."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.config import AdaptConfig, LabelConfig, RunConfig
from fxtrade.core.config_dict import freeze, to_config_dict
from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import to_dict

FEATURES = {"log_return": {"horizons": (1, 5)}, "calendar": {}}
VALID = {"features": FEATURES}


def changed(key: str, value):
    """The valid config with one value changed, e.g. `changed("train.steps", 0)`."""
    values = to_dict(freeze(VALID))
    *groups, last = key.split(".")
    place = values
    for group in groups:
        place = place[group]
    place[last] = value
    return values


def test_defaults_need_only_features():
    config = freeze(VALID)
    assert config == dataclasses.replace(RunConfig(), features=FEATURES)
    assert config.features["log_return"]["horizons"] == (1, 5)


def test_round_trips():
    config = freeze(
        {
            **VALID,
            "name": "other",
            "data": {"symbols": ["BTCUSDT", "ETHUSDT"], "synth": {"bars": 100, "edge": 0.5}},
            "model": {"name": "tcn", "options": {"channels": 8, "dropout": 0.1}},
            "train": {"steps": 20},
        }
    )
    assert freeze(to_dict(config)) == config
    assert freeze(to_config_dict(config)) == config
    assert freeze(json.loads(json.dumps(to_dict(config)))) == config
    assert freeze(json.loads(to_config_dict(config).to_json_best_effort())) == config
    assert config.data.symbols == ("BTCUSDT", "ETHUSDT")


def test_the_command_line_may_override_the_config_dict():
    config_dict = to_config_dict()
    config_dict.features = FEATURES
    config_dict.train.steps = 7
    config_dict.model.options.channels = 3
    frozen = freeze(config_dict)
    assert frozen.train.steps == 7 and frozen.model.options["channels"] == 3
    assert "channels" not in RunConfig().model.options, "the defaults are not shared"


def test_frozen():
    config = freeze(VALID)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1
    with pytest.raises(TypeError):
        config.features["new"] = {}
    with pytest.raises(TypeError):
        config.features["log_return"]["horizons"] = (2,)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"train": {"step": 1}}, r"config\.train has no key 'step'; did you mean 'steps'\?"),
        (
            {"trian": {}},
            r"config has no key 'trian'; did you mean 'train'\? \(known: adapt, auxiliary, data, features,",
        ),
        ({"zzzz": 1}, r"config has no key 'zzzz' \(known: "),
        ({"train": 5}, r"config\.train must be a group of keys, got 5"),
        ({"train": {"steps": 1.5}}, r"config\.train\.steps must be int, got 1\.5"),
        ({"train": {"steps": True}}, r"config\.train\.steps must be int, got True"),
        ({"train": {"steps": "10"}}, r"config\.train\.steps must be int, got '10'"),
        ({"trade": {"allow_short": 1}}, r"config\.trade\.allow_short must be bool, got 1"),
        ({"trade": {"coverage": True}}, r"config\.trade\.coverage must be float, got True"),
        ({"trade": {"max_gross_exposure": None}}, r"config\.trade\.max_gross_exposure must be float, got None"),
        ({"trade": {"sizing": "proportional"}}, r"config\.trade\.sizing must be a group of keys, got 'proportional'"),
        ({"trade": {"rules": ({},)}}, r"config\.trade\.rules\[0\] needs the key 'name'"),
        ({"trade": {"rules": ("x",)}}, r"config\.trade\.rules\[0\] must be a group of keys, got 'x'"),
        ({"trade": {"costs": {"fee": 5}}}, r"config\.trade\.costs\.fee must be a group of keys, got 5"),
        ({"train": {"mixup": {"name": "inputs"}}}, r"train\.mixup\.name must be .* got 'inputs'; did you mean 'input'"),
        ({"train": {"curriculum": {"name": "x"}}}, r"train\.curriculum\.name must be 'none', .* or 'random', got 'x'"),
        ({"train": {"curriculum": {"pace": "x"}}}, r"train\.curriculum\.pace must be 'linear', .* or 'step', got 'x'"),
        ({"train": {"meta": {"name": "mamla"}}}, r"train\.meta\.name must be .*, got 'mamla'; did you mean 'maml'"),
        ({"train": {"meta": {"tasks": "x"}}}, r"train\.meta\.tasks must be 'blocks' or 'regimes', got 'x'"),
        ({"data": {"symbols": "BTCUSDT"}}, r"config\.data\.symbols must be a list with .* or None, got 'BTCUSDT'"),
        ({"data": {"symbols": ["BTCUSDT", 3]}}, r"config\.data\.symbols\[1\] must be str, got 3"),
        ({"data": {"synth": [1]}}, r"config\.data\.synth must be a group of keys"),
        ({"report": {"coverages": ("all",)}}, r"config\.report\.coverages\[0\] must be float"),
        ({"features": {"log_return": 5}}, r"config\.features\.log_return must be a group of keys, got 5"),
        ({"model": {"options": 3}}, r"config\.model\.options must be a group of keys"),
        ([], r"config must be a group of keys"),
    ],
)
def test_what_does_not_fit_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        freeze({**VALID, **values} if isinstance(values, dict) else values)


def test_whole_numbers_are_fine_where_a_float_is_wanted():
    config = freeze({**VALID, "trade": {"max_gross_exposure": 5}})
    assert config.trade.max_gross_exposure == 5.0 and type(config.trade.max_gross_exposure) is float


@pytest.mark.parametrize(
    "key, bad",
    [
        ("features", {}),
        ("seed", -1),
        ("data.align", "all"),
        ("label.horizon", 0),
        ("label.classes", 4),
        ("label.flat_fraction", 0.0),
        ("label.flat_fraction", 1.0),
        ("split.valid_fraction", 0.0),
        ("split.test_fraction", -0.1),
        ("split.embargo", -1),
        ("scaler.halflife", 0.0),
        ("scaler.clip", 0.0),
        ("scaler.clip", float("nan")),
        ("scaler.winsor", 0.5),
        ("scaler.winsor", 0.0),
        ("loss.effective_number_beta", 0.0),
        ("loss.class_weights", (1.0,)),
        ("loss.class_weights", (1.0, 0.0)),
        ("auxiliary.horizons", (1,)),
        ("auxiliary.horizons", ()),
        ("pretrain.views.dropout", 1.0),
        ("optim.schedule", "linear"),
        ("optim.learning_rate", 0.0),
        ("optim.ema_decay", 1.0),
        ("optim.ema_decay", 0.0),
        ("optim.sam_rho", 0.0),
        ("optim.warmup", -1),
        ("optim.weight_decay", -1e-3),
        ("optim.clip_norm", 0.0),
        ("train.steps", 0),
        ("train.batch", 0),
        ("train.segment_length", 0),
        ("train.steps_per_call", 0),
        ("train.eval_every", 0),
        ("train.eval_every", 15),
        ("train.max_to_keep", 0),
        ("train.patience", 0),
        ("train.ensemble", {"method": "folds"}),
        ("train.trainable", "head"),
        ("train.meta.steps", 0),
        ("train.meta.segments", 0),
        ("train.meta.regimes", 0),
        ("train.meta.learning_rate", 0.0),
        ("train.meta.trainable", "head"),
        ("adapt.steps", 0),
        ("adapt.every", 0),
        ("adapt.lookback", 0),
        ("adapt.learning_rates", (float("nan"),)),
        ("adapt.learning_rates", (0.1, -0.1)),
        ("adapt.learning_rates", ()),
        ("adapt.trainable", "none"),
        ("trade.coverage", 0.0),
        ("trade.coverage", 1.1),
        ("trade.latency", -1),
        ("trade.latency", 2**40),
        ("trade.max_gross_exposure", -1.0),
        ("report.coverages", (1.0, 0.0)),
        ("report.coverages", (0.5,)),
        ("report.bootstrap_samples", 0),
        ("study.horizons", (1, 1)),
    ],
)
def test_impossible_values(key, bad):
    group = key.split(".")[0]
    with pytest.raises(ConfigError, match=rf"^config\.{group}[.\w\[\]]* must .*, got "):
        freeze(changed(key, bad))


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([2, 3]))
def test_possible_values_pass(factor, dispatch, classes):
    values = changed("train.eval_every", factor * dispatch)
    values["train"]["steps_per_call"] = dispatch
    values["label"]["classes"] = classes
    config = freeze(values)
    assert (config.train.eval_every, config.label.classes) == (factor * dispatch, classes)


def test_fractions_must_leave_rows_for_training():
    values = changed("split.valid_fraction", 0.5)
    values["split"]["test_fraction"] = 0.5
    with pytest.raises(ConfigError, match=r"valid_fraction \+ test_fraction must be below 1, got 1.0"):
        freeze(values)


def test_values_are_checked_without_a_file_too():
    with pytest.raises(ConfigError, match="^horizon must be at least 1, got 0"):
        LabelConfig(horizon=0)
    assert LabelConfig(flat_fraction=0.5) == dataclasses.replace(LabelConfig(), flat_fraction=0.5)
    assert AdaptConfig(learning_rates=[0, 1]).learning_rates == (0.0, 1.0)


OFF = ("data.path", "data.symbols", "data.clock", "train.init_from", "train.patience", "optim.ema_decay", "adapt.steps")


def test_none_is_off_and_may_be_set_from_the_command_line():
    """As config_flags sets values: by key, of the type that the key has."""
    off = to_config_dict()
    off.update_from_flattened_dict(dict.fromkeys(OFF), "")
    off.features = FEATURES
    config = freeze(off)
    assert config.train.patience is None and config.optim.ema_decay is None and config.data.clock is None
    on = to_config_dict(config)
    on.train.patience, on.optim.sam_rho, on.data.symbols, on.data.path = 3, 1, ["A"], "folder"
    config = freeze(on)
    assert (config.train.patience, config.optim.sam_rho, config.data.symbols) == (3, 1.0, ("A",))
    with pytest.raises(TypeError):
        on.train.patience = "3"
