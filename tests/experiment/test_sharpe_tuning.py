"""The Sharpe loss on a market whose edge is known: worth more, net of costs, than cross-entropy and a threshold."""

from __future__ import annotations

import dataclasses

import pytest

from configs import wavenet
from fxtrade.core.config_dict import freeze
from fxtrade.core.trade_config import RuleConfig
from fxtrade.evaluate import trading
from fxtrade.pipeline import dataset, predict, training

COVERAGES = (1.0, 0.5, 0.25, 0.1, 0.05)


@pytest.mark.slow
def test_it_beats_the_best_threshold_after_cross_entropy():
    """Even the threshold that is best on the test rows themselves, which nobody could have known."""
    values = wavenet.get_config("sim")
    values.data.synth.update(bars=40_000, seed=3)
    values.train.update(steps=200, eval_every=40)
    values.trade.costs = {"fee": {"rate_bps": 20.0}}
    config = freeze(values)
    data = dataset.prepare(config, dataset.load(config.data))
    first = training.train(config, data)

    fine = dataclasses.replace(
        config,
        loss=dataclasses.replace(config.loss, name="sharpe"),
        train=dataclasses.replace(config.train, steps=200, eval_every=20),
        optim=dataclasses.replace(config.optim, learning_rate=1e-3, warmup=10),
    )
    tuned = training.train(fine, data, first.fit.params)

    def sharpe(trained, **trade):
        made = predict.score(trained.model, trained.fit.params, data.features)
        return trading.trade_alone(
            data, made, dataclasses.replace(config.trade, **trade), config.label.horizon
        ).sharpe.value

    before = [sharpe(first, coverage=c) for c in COVERAGES]
    after = sharpe(tuned, sizing=RuleConfig("proportional"))
    assert after > max(before), (after, before)
    assert after > sharpe(first, sizing=RuleConfig("proportional"))
