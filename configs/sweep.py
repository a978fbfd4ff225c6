"""Sweep the parameters of a rule: every combination of a grid, in one compiled program.

    python scripts/sweep.py --config configs/sweep.py            # moving averages on the simulated market, no data
    python scripts/sweep.py --config configs/sweep.py:donchian --config.data.path=data/bars_1d
    python scripts/sweep.py --config configs/sweep.py:sma --config.grid.fast="(5, 10, 20)"
    python scripts/sweep.py --config configs/sweep.py:forecast --config.run=results/<run>

Variants: sma, ema, donchian, rsi, momentum, sizing, gate, forecast. The result is `results/<name>/report.md` with the
best sets, the plateau around the best one, its result on the bars held out, heat maps, and the same sweep on surrogate
markets, in which nothing can be found: a best set that is not better than theirs is luck. With
`--config.refine.steps=60`, as in the variant sizing, gradient ascent of the parameters that are real numbers stands
beside the best set. Ctrl-C stops a sweep, and the same command resumes it.
"""

from fxtrade.core.config_dict import to_config_dict
from fxtrade.core.registry import check_names
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.core.trade_config import RuleConfig

RULES = {  # rule, its grid, parameters that increase
    "sma": ("sma_cross", {"fast": tuple(range(2, 51, 2)), "slow": tuple(range(10, 201, 5))}, ("fast", "slow")),
    "ema": ("ema_cross", {"fast": tuple(range(2, 51, 2)), "slow": tuple(range(10, 201, 5))}, ("fast", "slow")),
    "donchian": (
        "donchian",
        {"window": tuple(range(10, 201, 5)), "exit_window": tuple(range(5, 101, 5))},
        ("exit_window", "window"),
    ),
    "rsi": (
        "rsi_reversion",
        {"window": tuple(range(5, 31)), "low": tuple(range(10, 45, 5)), "high": tuple(range(50, 90, 5))},
        None,
    ),
    "momentum": ("momentum", {"lookback": tuple(range(5, 256, 2))}, None),
    "sizing": (
        "momentum",
        {
            "volatility_target_annual_volatility": (0.1, 0.2, 0.4, 0.8),
            "volatility_target_halflife": (10, 20, 40, 80, 160, 320),
            "drawdown_scaling_max_drawdown": (0.1, 0.2, 0.3, 0.4, 0.5),
            "buffer_width": (0.0, 0.01, 0.02, 0.03, 0.05),
        },
        None,
    ),
    "gate": (  # of a run's forecasts: what a trade must gain, in round trips, and what a position must, to be kept
        "proportional",
        {
            "cost_gate_margin": (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0),
            "cost_gate_keep_margin": (0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0),
        },
        None,
    ),
    "forecast": (
        "threshold",
        {
            "coverage": (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
            "bracket_stop": (0.01, 0.02, 0.05, 0.1),
            "bracket_target": (0.01, 0.02, 0.05, 0.1),
        },
        None,
    ),
}


def get_config(variant: str = "sma"):
    check_names([variant], RULES, "configs/sweep.py: there is no variant")
    rule, grid, increasing = RULES[variant]
    config = to_config_dict(SweepConfig(name=f"sweep-{variant}", grid=grid, increasing=increasing))
    config.rule.name = rule
    if variant in ("forecast", "gate"):  # the bars are those of the run
        if variant == "gate":
            config.trade.rules = (RuleConfig("cost_gate"),)
        return config
    config.data.synth.bars, config.data.synth.interval, config.data.synth.assets = 20_000, "1h", 1
    if variant == "sizing":
        config.data.synth.bars, config.data.synth.interval, config.data.synth.assets = 3_000, "1d", 8
        config.null_block, config.refine.steps = "20d", 60
        config.rule.options = {"lookback": 50, "max_window": 50}
        config.trade.rules = (
            RuleConfig("volatility_target", {"max_leverage": 2.0}),
            RuleConfig("drawdown_scaling"),
            RuleConfig("buffer"),
        )
    return config
