"""Portfolios of rules.

python scripts/portfolio.py --config configs/portfolio.py:trend
"""

from fxtrade.core.config_dict import to_config_dict
from fxtrade.core.portfolio_config import PortfolioConfig, SleeveConfig
from fxtrade.core.trade_config import RuleConfig


def get_config(variant: str = "trend"):
    sleeves = {
        f"momentum_{k}": SleeveConfig((RuleConfig("momentum", {"lookback": k, "allow_short": True, "weight": 0.25}),))
        for k in (20, 60, 120)
    }
    config = to_config_dict(
        PortfolioConfig(name=f"portfolio-{variant}", sleeves=sleeves, benchmark=(RuleConfig("buy_and_hold"),))
    )
    config.data.synth.bars, config.data.synth.interval = 2_000, "1d"
    return config
