"""The rule `funding_carry` as a plain loop over the bars of each pair in NumPy float64: its reference."""

from __future__ import annotations

import numpy as np

from fxtrade.core.trading_types import Observation


def funding_carry(
    rows: Observation,
    spot,
    perpetual,
    halflife,
    holding_bars,
    round_trip_bps,
    entry_margin_bps,
    exit_bps,
    rebalance,
    weight,
    target,
    account,
):
    """The account is the same in every row."""
    made, ok = np.array(target, np.float64), np.asarray(rows.bars.ok)
    close, funding = np.asarray(rows.bars.close, np.float64), np.asarray(rows.funding, np.float64)
    value = np.asarray(account.units, np.float64) * np.asarray(account.mark, np.float64)
    for s, p in zip(spot, perpetual, strict=True):
        larger = max(abs(value[s]), abs(value[p]))
        broken = abs(value[s] + value[p]) > 0.1 * larger
        rates, anchor = [], None
        for t in range(len(ok)):
            made[t, [s, p]] = np.nan
            if not (ok[t, s] and ok[t, p]):
                continue
            rates.append(funding[t, p])
            age = 0.5 ** (np.arange(len(rates))[::-1] / halflife)
            forecast = 1e4 * holding_bars * (age @ rates) / age.sum()
            opened = anchor is None and len(rates) >= halflife and forecast > round_trip_bps + entry_margin_bps
            if anchor is not None and forecast < exit_bps or anchor is None and not opened:
                made[t, [s, p]], anchor = 0, None
            elif opened or abs(close[t, s] / anchor - 1) > rebalance or broken:
                share = weight / len(spot)
                made[t, s], made[t, p], anchor = share, -share, close[t, s]
    return made
