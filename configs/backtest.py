"""Targets or signals of a file on your own bars: what `scripts/backtest.py` starts from, with the defaults of `trade`.

    python scripts/backtest.py --targets weights.csv --data bars --config.trade.latency=1

The targets are traded as they are, without a rule after them. `docs/trading.md` says what the keys of `trade` mean.
"""

from ml_collections import ConfigDict

from fxtrade.core.config import RunConfig
from fxtrade.core.config_dict import to_config_dict
from fxtrade.core.errors import ConfigError
from fxtrade.core.trade_config import TradeConfig


def get_config(variant: str = "") -> ConfigDict:
    """Return the defaults, without features or a model. Raises ConfigError for a variant."""
    if variant:
        raise ConfigError(f"configs/backtest.py has no variants, and none is called '{variant}'; leave it out")
    return to_config_dict(RunConfig(name="backtest", trade=TradeConfig(rules=None)))
