"""Bundles: the trained model, rule and metadata that are needed to compute target weights."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from fxtrade import features
from fxtrade.core.config import RunConfig
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.stream import Stream, advance, chain
from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Bars, Features
from fxtrade.ensemble.mixture import mixture
from fxtrade.pipeline.build import build_model
from fxtrade.pipeline.predict import forecast_stream
from fxtrade.pipeline.strategy import build_rules, build_sizing, reads_account
from fxtrade.pipeline.warm_start import best_params
from fxtrade.risk import rule as rules
from fxtrade.risk.rule import as_stream
from fxtrade.runs import run_dir
from fxtrade.runs.provenance import Provenance
from fxtrade.runs.record import Identity, RunRecord
from fxtrade.train import members


class Bundle(NamedTuple):
    """The trained model, rule and metadata that are needed to compute target weights.

    The scaler has no fitted state: it is causal, and the stream carries its state.

    Attributes:
        config: config of the run.
        params: averaged weights of each member at the best evaluation.
        threshold: confidence threshold, from the validation rows.
        identity: network, columns, symbols, interval and label that the weights belong to.
        provenance: code version, data fingerprint, seed, packages.
    """

    config: RunConfig
    params: tuple[Any, ...]
    threshold: float
    identity: Identity
    provenance: Provenance


def load(folder: Path) -> Bundle:
    """Return the bundle of a finished run.

    Raises:
        ConfigError: the folder holds no finished run, one whose label cannot be traded, or one whose weights adapt to
            labels.
        FxtradeError: its record is damaged or of another version.
        CheckpointError: the checkpoint is damaged.
    """
    config, path = run_dir.load_config(folder), folder / run_dir.RECORD
    if config.adapt.steps is not None:
        raise ConfigError(f"{folder}: its weights adapt to recent labels (adapt.steps); a bundle does not support that")
    record = RunRecord.read(path)
    if record.result is None:
        resume = shlex.join(["--resume", str(folder)])
        raise ConfigError(f"{folder} holds no finished run; resume it first with {resume}")
    identity, threshold = record.identity, record.result.threshold
    if threshold is None:
        raise ConfigError(f"{folder}: the label '{config.label.name}' is not traded, so there is nothing to decide")
    shape = len(identity.symbols), len(identity.columns)
    params = best_params(folder, config, identity, *shape)
    each = tuple(members.unstack(params, config.train.ensemble.size))
    return Bundle(config, each, threshold, identity, record.provenance)


def forecast(bundle: Bundle) -> Stream:
    """Return the stream from `Bars` rows to rows of the run's `Forecast`."""
    config = bundle.config
    model = build_model(config)
    forecasts = _ensemble([forecast_stream(model, params) for params in bundle.params])
    return chain(features.build(config.features, config.scaler), forecasts)


def decide(bundle: Bundle, history: Bars | None = None) -> Stream:
    """Return the stream from `Bars` rows to target weights `[T, A]`: the sizing of the run and its rules.

    NaN keeps the present units. Any number of rows at a time gives the targets of the run's backtest if `history` is
    the rows before it: bit for bit, but targets in proportion to a forecast to its float32 rounding.

    Args:
        history: rows before the account begins. Forecasts and sizing remember them, the rules do not: an empty account
            has followed none of their targets.

    Raises:
        ConfigError: a rule reads the account.
    """
    trade = bundle.config.trade
    if reads_account(trade):
        raise ConfigError(
            "config.trade.rules has rules that read the account, which a stream of targets has not; trade them in an "
            "engine: `engine.make_trader` with the forecasts of `bundle.forecast`"
        )
    sizing = build_sizing(trade, bundle.config.label.horizon, bundle.threshold)
    forecasts, rule = forecast(bundle), as_stream(rules.chain(sizing, *build_rules(trade)))

    def init(rows: Bars):
        state = forecasts.init(rows)
        _, made = jax.eval_shape(forecasts.step, state, rows)
        fresh = rule.init(Observation(made, rows))
        if history is None:
            return state, fresh
        state, (sized, *_) = advance(Stream(lambda _: (state, fresh), step), history)
        return state, (sized, *fresh[1:])

    def step(states, rows: Bars):
        state, made = forecasts.step(states[0], rows)
        decided, target = rule.step(states[1], Observation(made, rows))
        return (state, decided), target

    return Stream(init, step)


def check_symbols(bundle: Bundle, symbols: Sequence[str]) -> None:
    """Raise DataError unless `symbols` are those that the bundle's weights belong to, in their order."""
    own = bundle.identity.symbols
    if tuple(symbols) != own:
        raise DataError(f"the run is of the symbols {', '.join(own)}, these bars of {', '.join(symbols)}; order counts")


def _ensemble(streams: list[Stream]) -> Stream:
    """Return the stream from `Features` to the mixture of the streams' forecasts."""

    def init(rows: Features):
        return [stream.init(rows) for stream in streams]

    def step(states, rows: Features):
        stepped = [stream.step(state, rows) for stream, state in zip(streams, states, strict=True)]
        return [state for state, _ in stepped], mixture([forecast for _, forecast in stepped])

    return Stream(init, step)
