"""Outcomes of runs that never were, in the form of `experiment.run.judge` after `core.files.to_jsonable`."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

TARGETS = (1.0, 0.5, 0.1)
DAY = 86_400_000_000_000
START = 1_704_067_200_000_000_000  # 2024-01-01


def rows(accuracy: float, half: float = 0.01) -> list[dict]:
    """Accuracy at every coverage, better where fewer are covered."""
    made = []
    for target in TARGETS:
        middle = accuracy + 0.05 * (1 - target)
        counts = {"coverage": 0.97 * target, "rows": int(10_000 * target)}
        made.append({"target": target, "accuracy": middle, "low": middle - half, "high": middle + half, **counts})
    return made


def backtest(total: float, sharpe: float) -> dict:
    return {
        "total_return": total,
        "annual_return": 2 * total,
        "sharpe": sharpe,
        "sharpe_low": sharpe - 1,
        "sharpe_high": sharpe + 1,
        "psr": 0.97,
        "dsr": 0.91,
        "trials": 3,
        "daily_sharpe": sharpe / 19,
        "sortino": 2 * sharpe,
        "calmar": 3.1,
        "max_drawdown": -0.082,
        "max_drawdown_days": 12.5,
        "win_rate_trade": 0.52,
        "win_rate_day": 0.54,
        "win_rate_week": 0.61,
        "win_rate_month": 0.75,
        "trades": 321,
        "turnover_a_year": 88.0,
        "exposure": 0.2,
        "cost": 0.071,
    }


def outcome(
    source: str = "data/bars_1h",
    label: str = "open_to_open",
    classes: int = 2,
    own: float = 0.54,
    rival: float = 0.51,
    floor: float = 0.5,
    best: float | None = None,
    total: float = 0.2,
    sharpe: float = 1.5,
) -> dict:
    """A whole outcome of 100 days; the arguments are accuracies on all bars and what was earned."""
    days = range(100)
    grid = [
        {"fee_bps": fee, "latency": late, "total_return": total - 0.01 * fee, "sharpe": sharpe - 0.1 * fee - 0.2 * late}
        for fee in (0, 2, 5, 10, 20)
        for late in (0, 1, 5)
    ]
    return {
        "run": {
            "name": "sample",
            "config_hash": "abc123",
            "data_fingerprint": "fff000",
            "seed": 7,
            "code": "0.1.0+0123456789ab-modified",
            "command": "python scripts/train.py --config configs/wavenet.py",
            "started": "2026-01-02T03:04:05Z",
            "python": "3.11.7",
            "packages": {"jax": "0.10.2", "numpy": "2.4.6"},
            "backend": "cpu",
            "devices": ["cpu"],
            "cores": 2,
            "config": config(label, classes),
            "model": "wavenet",
            "parameters": 28_010,
            "receptive_field": 64,
            "adapted_at": [None],
            "opened_before": 0,
            "trials_before": 2,
            "params": None,
            "step": 600,
            "best_step": 400,
            "best_loss": 0.68,
            "labels_per_second": 171_846.6,
            "stopped": "early",
            "seconds": 67.6,
            "folder": "sample-1",
        },
        "data": {
            "source": source,
            "symbols": ["AAA", "BBB"],
            "interval": "1h",
            "bars": 20_000,
            "columns": ["return_1", "volatility_8"],
            "spans": {
                "train": {"from": "2022-01-01T00:00", "to": "2023-06-01T00:00", "bars": 14_000, "labels": 27_000},
                "valid": {"from": "2023-06-01T02:00", "to": "2023-12-31T22:00", "bars": 3_000, "labels": 5_900},
                "test": {"from": "2024-01-01T00:00", "to": "2024-04-10T00:00", "bars": 3_000, "labels": 5_900},
            },
            "zero_moves": 0.0123,
            "best_accuracy": best,
        },
        "accuracy": {"wavenet": rows(own), "majority": rows(rival - 0.01), "logistic regression": rows(rival)},
        "null": {"random walk": rows(floor - 0.005), "shuffled": rows(floor)},
        "labels": {"open_to_open": rows(own), "close_to_close": rows(own + 0.02)},
        "scores": {
            "rows": 5_900,
            "accuracy": own,
            "balanced_accuracy": own,
            "mcc": 0.08,
            "brier": 0.2481,
            "log_loss": 0.6893,
            "ece": 0.0117,
            "ic": 0.031,
            "rank_ic": 0.042,
            "intervals": {"log_loss": [0.6871, 0.6915], "ece": [0.0, 0.0131], "rank_ic": [None, None]},
            "curve": {"coverage": [0.02, 0.1, 0.5, 1.0], "accuracy": [own + 0.06, own + 0.05, own + 0.02, own]},
            "reliability": {"confidence": [0.51, 0.55, 0.6], "frequency": [0.5, 0.54, 0.57], "count": [100, 100, 99]},
        },
        "groups": {
            "symbol": [
                {"name": s, "rows": 2_950, "accuracy": own, "low": own - 0.02, "high": own + 0.02}
                for s in ("AAA", "BBB")
            ],
            "month": [
                {"name": f"2024-{m:02d}", "rows": 1_400, "accuracy": own, "low": own - 0.03, "high": own + 0.03}
                for m in range(1, 5)
            ],
        },
        "trading": {
            "threshold": 0.0812,
            "strategy": {**backtest(total, sharpe), "alpha": 0.3, "alpha_t": 1.9, "beta": 0.05},
            "buy_and_hold": backtest(0.1, 0.6),
            "grid": grid,
            "curve": {
                "time": [START + day * DAY for day in days],
                "strategy": [1 + total * day / 99 for day in days],
                "strategy_drawdown": [-0.082 * (day % 10) / 9 for day in days],
                "buy_and_hold": [1 + 0.1 * day / 99 for day in days],
                "buy_and_hold_drawdown": [-0.05] * 100,
            },
        },
        "history": [
            {"step": 100 * i, "train/loss": 0.70 - 0.01 * i, "valid/loss": 0.69 - 0.002 * i} for i in range(1, 7)
        ],
    }


def config(label: str = "open_to_open", classes: int = 2) -> dict:
    return {
        "name": "sample",
        "seed": 7,
        "features": {"volatility": {"windows": [8, 32]}},
        "label": {"name": label, "horizon": 1, "classes": classes, "flat_fraction": 0.33, "median_window": 2880},
        "train": {"steps": 600, "batch": 8},
        "adapt": {"steps": 0, "learning_rates": [0.1], "every": 168, "lookback": 672},
        "trade": {
            "coverage": 0.1,
            "max_gross_exposure": 1.0,
            "allow_short": True,
            "fee_bps": 10.0,
            "half_spread_bps": 1.0,
            "latency": 0,
        },
        "report": {
            "coverages": list(TARGETS),
            "null_baseline": True,
            "bootstrap_samples": 2000,
            "bootstrap_block": "1d",
        },
    }


def sparse() -> dict:
    """The least that a run can leave: no baseline, no null floor, nothing traded, no interval."""
    made = outcome(label="volatility")
    del made["trading"]
    made |= {"null": {}, "labels": {}, "history": [], "groups": {"symbol": [], "month": []}}
    made["run"] |= {"labels_per_second": None, "best_loss": None, "code": "0.1.0"}
    made["accuracy"] = {"wavenet": rows(0.6)}
    for row in made["accuracy"]["wavenet"]:
        row |= {"low": None, "high": None}
    made["accuracy"]["wavenet"][-1] |= {"accuracy": None, "coverage": 0.0, "rows": 0}
    made["scores"] |= {"mcc": None, "ic": None, "rank_ic": None}
    made["scores"]["reliability"] = {"confidence": [], "frequency": [], "count": []}
    made["data"]["zero_moves"] = None
    return made


def with_holes(made: dict, seed: int, share: float = 0.3) -> dict:
    """The same outcome, in which some numbers that come from data are missing."""
    draw = random.Random(seed)
    made = copy.deepcopy(made)

    def bore(value):
        if isinstance(value, dict):
            return {
                k: v if k in ("target", "coverage", "time", "confidence", "fee_bps") else bore(v)
                for k, v in value.items()
            }
        if isinstance(value, list):
            return [bore(v) for v in value]
        return None if isinstance(value, float) and draw.random() < share else value

    for key in ("accuracy", "null", "labels", "scores", "groups", "trading", "history"):
        made[key] = bore(made[key])
    made["run"]["labels_per_second"] = made["data"]["zero_moves"] = None
    return made


def save(made: dict, folder: Path) -> Path:
    """The three records of a finished run."""
    folder.mkdir(parents=True)
    run = made["run"]
    facts = {k: run[k] for k in ("name", "config_hash", "data_fingerprint", "seed", "code", "seconds")}
    for name, values in (("run", facts), ("config", run["config"]), ("report", made)):
        (folder / f"{name}.json").write_text(json.dumps(values))
    return folder
