"""Metrics of return series: fxtrade on a whole batch, against quantstats and empyrical one series at a time.

    python benchmarks/metrics.py --peers-python ENV/bin/python

Eight metrics (annual volatility, Sharpe, Sortino, Calmar, maximum drawdown, omega, VaR and CVaR at 95 %) of 10,000
series of 2,000 daily returns, from returns in memory. All must agree to 1e-12, except for the VaR of quantstats, which
is that of a normal distribution.

* each: every metric by its own function, `[P, N]` to `[P]`; Calmar and the maximum drawdown compound the returns twice.
* shared: the drawdown and the tail once, as `summary` does it.
* summary: `metrics.summary`, 17 metrics in one call.
* a loop over series: the peers' functions of one series, on some of the series, and the time for all of them by
  proportion. quantstats gets pandas series that are made before.
* columns: the four metrics that empyrical also takes of a matrix, bars first, in one call each.
"""

from __future__ import annotations

from pathlib import Path

import measure
import numpy as np

BARS, YEAR = 2_000, 365
NAMES = ("volatility", "sharpe", "sortino", "calmar", "max_drawdown", "omega", "var", "cvar")
COLUMNS = ("volatility", "sharpe", "sortino", "max_drawdown")  # that empyrical takes of a matrix
LOOP = {"empyrical": 500, "quantstats": 40}  # series


def series(args) -> np.ndarray:
    count = 1_000 if args.quick else 10_000
    r = np.random.default_rng(0).standard_t(4, (count, BARS)) * 0.02 + 0.001
    return np.maximum(r, -0.5)  # ruin is another convention


def fxtrade(args) -> dict:
    from fxtrade.metrics import drawdown, returns, summary, tail

    r = series(args)
    functions = {
        "volatility": lambda: returns.annual_volatility(r, YEAR),
        "sharpe": lambda: returns.sharpe(r, YEAR),
        "sortino": lambda: returns.sortino(r, YEAR),
        "calmar": lambda: drawdown.calmar(r, YEAR),
        "max_drawdown": lambda: drawdown.max_drawdown(returns.equity_from_returns(r)),
        "omega": lambda: returns.omega(r),
        "var": lambda: tail.var(r),
        "cvar": lambda: tail.cvar(r),
    }

    def shared() -> dict:
        deepest = functions["max_drawdown"]()
        calmar = returns.annual_return(r, YEAR) / -deepest
        once = dict(zip(("var", "cvar"), tail.var_and_cvar(r), strict=True))
        rest = {name: functions[name]() for name in ("volatility", "sharpe", "sortino", "omega")}
        return {"max_drawdown": deepest, "calmar": calmar} | once | rest

    meter, repeats = measure.Meter(args), 2
    answer = {name: meter.seconds(function, repeats) for name, function in functions.items()}
    answer["each"] = sum(answer[name] for name in NAMES)
    answer["columns"] = sum(answer[name] for name in COLUMNS)
    answer |= {"shared": meter.seconds(shared, repeats), "summary": meter.seconds(lambda: summary(r, YEAR), repeats)}
    made = shared()
    np.save(Path(args.folder, "expected.npy"), [made[name] for name in NAMES])
    np.testing.assert_allclose([functions[name]() for name in NAMES], [made[name] for name in NAMES], rtol=1e-14)
    return answer | {"others": meter.others}


def empyrical(args) -> dict:
    import empyrical as peer

    r, year = series(args), {"annualization": YEAR}
    functions = {
        "volatility": lambda x: peer.annual_volatility(x, **year),
        "sharpe": lambda x: peer.sharpe_ratio(x, **year),
        "sortino": lambda x: peer.sortino_ratio(x, **year),
        "calmar": lambda x: peer.calmar_ratio(x, **year),
        "max_drawdown": peer.max_drawdown,
        "omega": lambda x: peer.omega_ratio(x, **year),
        "var": peer.value_at_risk,
        "cvar": peer.conditional_value_at_risk,
    }
    meter = measure.Meter(args)
    answer = _loop(args, meter, functions, r, r[: LOOP["empyrical"]])
    matrix = np.ascontiguousarray(r.T)
    answer["columns"] = sum(meter.seconds(lambda f=functions[name]: f(matrix), 2) for name in COLUMNS)
    return answer | {"others": meter.others}


def quantstats(args) -> dict:
    import pandas as pd
    from quantstats import stats as peer

    r, year = series(args), {"periods": YEAR}
    functions = {
        "volatility": lambda x: peer.volatility(x, **year),
        "sharpe": lambda x: peer.sharpe(x, **year),
        "sortino": lambda x: peer.sortino(x, **year),
        "calmar": lambda x: peer.calmar(x, **year),
        "max_drawdown": peer.max_drawdown,
        "omega": lambda x: peer.omega(x, **year),
        "var": peer.value_at_risk,
        "cvar": lambda x: peer.cvar(x, method="historical"),
    }
    days = pd.date_range("2018-01-01", periods=BARS)
    meter = measure.Meter(args)
    answer = _loop(args, meter, functions, r, [pd.Series(x, days) for x in r[: LOOP["quantstats"]]], {"var"})
    return answer | {"others": meter.others}


def _loop(args, meter, functions, r, some, differs=frozenset()) -> dict:
    """Seconds for all series of `r`, by those of `some`, whose metrics are checked."""
    expected = dict(zip(NAMES, np.load(Path(args.folder, "expected.npy")), strict=True))
    for name in set(NAMES) - differs:
        got = [functions[name](x) for x in some]
        np.testing.assert_allclose(got, expected[name][: len(some)], rtol=1e-12, atol=1e-12, err_msg=name)
    answer = {}
    for name in NAMES:
        seconds = meter.seconds(lambda f=functions[name]: [f(x) for x in some], 2)
        answer[name] = seconds * len(r) / len(some)
    return answer | {"each": sum(answer[name] for name in NAMES)}


def conclude(args, answers) -> None:
    def seconds(worker: str, key: str) -> measure.Spread:
        return measure.spread(a[key] for a in answers[worker])

    def faster(peer: str, key: str, ours: str) -> measure.Spread:
        return measure.spread(b[key] / a[ours] for a, b in zip(answers["fxtrade"], answers[peer], strict=True))

    peers = tuple(LOOP)
    print(f"{len(series(args)):,} series of {BARS:,} bars; seconds, and in brackets the rounds")
    rows = [(k, *(seconds(w, k) for w in answers), *(faster(p, k, k) for p in peers)) for k in NAMES]
    for ours in ("each", "shared", "summary"):
        theirs = [seconds(p, "each") for p in peers]
        rows.append(
            (f"all eight, {ours}", seconds("fxtrade", ours), *theirs, *(faster(p, "each", ours) for p in peers))
        )
    columns = [seconds(w, "columns") for w in ("fxtrade", "empyrical")]
    rows.append(("four, columns", *columns, "", faster("empyrical", "columns", "columns"), ""))
    print(measure.table(("", *answers, *(f"faster than {p} by" for p in peers)), rows))


if __name__ == "__main__":
    workers = {"fxtrade": fxtrade, "empyrical": empyrical, "quantstats": quantstats}
    measure.main(measure.arguments(__doc__), workers, conclude, in_order=True)
