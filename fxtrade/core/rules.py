"""What values of a config must be, beyond their types."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fxtrade.core.errors import ConfigError
from fxtrade.core.options import to_dict

if TYPE_CHECKING:
    from fxtrade.core.config import RunConfig


def check(c: RunConfig) -> None:
    """Raises ConfigError for the first value that is impossible, alone or beside another; names its key."""

    def require(good: bool, key: str, value, must: str):
        if not good:
            raise ConfigError(f"config.{key} = {value!r}: {must}")

    require(bool(c.features), "features", dict(c.features), "name at least one feature")
    require(c.data.align in ("intersection", "union"), "data.align", c.data.align, "must be 'intersection' or 'union'")
    require(c.seed >= 0, "seed", c.seed, "must not be negative")
    require(c.label.horizon >= 1, "label.horizon", c.label.horizon, "must be at least 1 bar")
    require(c.label.classes in (2, 3), "label.classes", c.label.classes, "must be 2 or 3")
    require(0 < c.label.flat_fraction < 1, "label.flat_fraction", c.label.flat_fraction, "must lie between 0 and 1")
    require(c.label.median_window >= 1, "label.median_window", c.label.median_window, "must be at least 1 bar")
    require(
        c.split.valid_fraction > 0 and c.split.test_fraction > 0,
        "split",
        to_dict(c.split),
        "valid and test must be positive shares",
    )
    require(
        c.split.valid_fraction + c.split.test_fraction < 1,
        "split",
        to_dict(c.split),
        "valid + test must leave rows for training",
    )
    require(c.split.embargo >= 0, "split.embargo", c.split.embargo, "must not be negative")
    require(c.scaler.halflife > 0, "scaler.halflife", c.scaler.halflife, "must be positive")
    require(c.scaler.clip > 0, "scaler.clip", c.scaler.clip, "must be positive")
    require(c.scaler.window >= 2, "scaler.window", c.scaler.window, "must be at least 2 bars")
    require(0 <= c.scaler.winsor < 0.5, "scaler.winsor", c.scaler.winsor, "must be in [0, 0.5)")
    require(
        0 <= c.loss.effective_number_beta <= 1,
        "loss.effective_number_beta",
        c.loss.effective_number_beta,
        "must be in [0, 1]",
    )
    alpha = c.loss.class_weights
    require(
        len(alpha) in (0, c.label.classes), "loss.class_weights", alpha, f"must have {c.label.classes} weights, or none"
    )
    require(all(v > 0 for v in alpha), "loss.class_weights", alpha, "must be positive")
    for key in ("direction", "volatility", "expected_return", "horizon_weight"):
        require(getattr(c.auxiliary, key) >= 0, f"auxiliary.{key}", getattr(c.auxiliary, key), "must not be negative")
    horizons = c.auxiliary.horizons
    require(all(h >= 1 for h in horizons), "auxiliary.horizons", horizons, "must be at least 1 bar each")
    single = len({c.label.horizon, *horizons}) == 1 + len(horizons)
    require(single, "auxiliary.horizons", horizons, "must differ from each other and from label.horizon")
    schedules = ("cosine", "constant")
    require(c.optim.schedule in schedules, "optim.schedule", c.optim.schedule, "must be 'cosine' or 'constant'")
    require(c.optim.learning_rate > 0, "optim.learning_rate", c.optim.learning_rate, "must be positive")
    require(0 <= c.optim.ema_decay < 1, "optim.ema_decay", c.optim.ema_decay, "must be in [0, 1)")
    require(0 <= c.optim.swa_fraction < 1, "optim.swa_fraction", c.optim.swa_fraction, "must be in [0, 1)")
    require(c.optim.sam_rho >= 0, "optim.sam_rho", c.optim.sam_rho, "must not be negative")
    for key in ("steps", "width", "channels"):
        require(getattr(c.pretrain, key) >= 1, f"pretrain.{key}", getattr(c.pretrain, key), "must be at least 1")
    once = not (c.train.init_from and c.pretrain.name != "none")
    require(
        once,
        "train.init_from",
        c.train.init_from,
        "training cannot start from a run and be pre-trained (pretrain.name)",
    )
    require(c.train.trainable in ("all", "heads"), "train.trainable", c.train.trainable, "must be 'all' or 'heads'")
    require(
        c.train.ensemble.method in ("seeds", "folds"),
        "train.ensemble.method",
        c.train.ensemble.method,
        "must be 'seeds' or 'folds'",
    )
    require(c.train.ensemble.size >= 1, "train.ensemble.size", c.train.ensemble.size, "must be at least 1")
    folds = c.train.ensemble.method == "seeds" or c.train.ensemble.size > 1
    require(
        folds,
        "train.ensemble.size",
        c.train.ensemble.size,
        "must be at least 2, one for each fold (train.ensemble.method)",
    )
    require(c.optim.warmup >= 0, "optim.warmup", c.optim.warmup, "must not be negative")
    require(c.optim.weight_decay >= 0, "optim.weight_decay", c.optim.weight_decay, "must not be negative")
    require(c.optim.clip_norm > 0, "optim.clip_norm", c.optim.clip_norm, "must be positive")
    for key in ("steps", "batch", "segment_length", "steps_per_call", "eval_every", "max_to_keep"):
        require(getattr(c.train, key) >= 1, f"train.{key}", getattr(c.train, key), "must be at least 1")
    require(c.train.mixup.alpha > 0, "train.mixup.alpha", c.train.mixup.alpha, "must be positive")
    for key in ("start", "end"):
        value = getattr(c.train.curriculum, key)
        require(0 < value <= 1, f"train.curriculum.{key}", value, "must be in (0, 1]")
    meta, adapt = c.train.meta, c.adapt
    for key in ("regimes", "segments", "steps"):
        require(getattr(meta, key) >= 1, f"train.meta.{key}", getattr(meta, key), "must be at least 1")
    require(adapt.steps >= 0, "adapt.steps", adapt.steps, "must not be negative")
    for key in ("every", "lookback"):
        require(getattr(adapt, key) >= 1, f"adapt.{key}", getattr(adapt, key), "must be at least 1 bar")
    require(len(adapt.learning_rates) > 0, "adapt.learning_rates", adapt.learning_rates, "must name at least one rate")
    for rate in adapt.learning_rates:
        require(0 <= rate < math.inf, "adapt.learning_rates", rate, "must be finite and not negative")
    require(meta.learning_rate > 0, "train.meta.learning_rate", meta.learning_rate, "must be positive")
    for key, group in (("train.meta", meta), ("adapt", adapt)):
        require(group.trainable in ("all", "heads"), f"{key}.trainable", group.trainable, "must be 'all' or 'heads'")
    require(c.train.patience >= 0, "train.patience", c.train.patience, "must not be negative")
    require(
        c.train.eval_every % c.train.steps_per_call == 0,
        "train.eval_every",
        c.train.eval_every,
        f"must be a multiple of train.steps_per_call ({c.train.steps_per_call})",
    )
    require(0 < c.trade.coverage <= 1, "trade.coverage", c.trade.coverage, "must be in (0, 1]")
    require(c.trade.latency >= 0, "trade.latency", c.trade.latency, "must not be negative")
    for key in ("fee_bps", "half_spread_bps", "max_gross_exposure"):
        require(getattr(c.trade, key) >= 0, f"trade.{key}", getattr(c.trade, key), "must not be negative")
    require(
        c.report.bootstrap_samples >= 1, "report.bootstrap_samples", c.report.bootstrap_samples, "must be at least 1"
    )
    coverages = c.report.coverages
    require(all(0 < v <= 1 for v in coverages), "report.coverages", coverages, "must be in (0, 1]")
    require(coverages[:1] == (1.0,), "report.coverages", coverages, "must begin with 1.0, all forecasts")
    horizons = c.study.horizons
    distinct = len(set(horizons)) == len(horizons) > 0
    require(distinct and min(horizons) >= 1, "study.horizons", horizons, "must be distinct numbers of bars, at least 1")
    spans = ("train", "train+valid")
    require(c.study.span in spans, "study.span", c.study.span, "must be 'train' or 'train+valid'; test stays closed")
    require(0 < c.study.fdr < 1, "study.fdr", c.study.fdr, "must lie between 0 and 1")
    require(
        0 < c.study.cluster_threshold <= 1, "study.cluster_threshold", c.study.cluster_threshold, "must be in (0, 1]"
    )
    for key in ("bootstrap_samples", "periods"):
        require(getattr(c.study, key) >= 1, f"study.{key}", getattr(c.study, key), "must be at least 1")
