"""The configuration of a run: frozen dataclasses, and the way from a config file and command-line overrides to them.

`configs/*.py` build an `ml_collections.ConfigDict` from these defaults with `to_config_dict`, the command line
overrides keys, and `freeze` turns the result into a `RunConfig`. Whatever does not fit is a `ConfigError` that names
the key.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from fxtrade.core.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where bars come from: the simulated market (`path` empty) or files."""

    path: str = ""
    symbols: tuple[str, ...] = ()  # empty: every file in the folder
    start: str = ""  # UTC dates such as 2024-04-11, inclusive; empty: from the beginning
    end: str = ""  # exclusive
    span: str = "common"  # "common": where all symbols are listed; "union": where any is
    clock: str = "1s"  # rows of order-book data, e.g. "100ms"; "" makes every update a row
    resample: str = ""  # e.g. "15m": make coarser bars of closed finer ones
    synth: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # options of data.synth.SynthSpec


@dataclasses.dataclass(frozen=True)
class ScalerConfig:
    halflife: float = 500.0  # bars, of the exponentially weighted scalers
    clip: float = 5.0  # standard deviations
    name: str = "robust_z"  # a key of features.scale.SCALERS; "median_mad" and "rank_normal" are some 20 times slower
    window: int = 256  # bars, of the scalers by order statistics and of winsorising
    winsor: float = 0.0  # columns are first limited to these upper and lower shares of the window; 0: not


@dataclasses.dataclass(frozen=True)
class LabelConfig:
    name: str = "tradable"  # a key of labels.LABELS
    horizon: int = 1  # bars
    classes: int = 2  # 3 adds "flat" inside the dead zone
    dead_zone: float = 0.33  # share of training rows that are flat when classes = 3
    median_window: int = 2880  # bars of the trailing median, for name = "volatility"


@dataclasses.dataclass(frozen=True)
class SplitConfig:
    valid: float = 0.15  # share of the time span before the test span
    test: float = 0.15  # last share of the time span
    embargo: int = 0  # bars left out between the spans, besides purging


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    name: str = "wavenet"  # a key of models.MODELS
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # fields of that module


@dataclasses.dataclass(frozen=True)
class LossConfig:
    name: str = "cross_entropy"  # a key of losses.LOSSES
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of that loss, such as gamma
    balance: float = 0.0  # classes by 1 / their effective number in the training rows: 0 not, 0.9999 nearly, 1 fully
    alpha: tuple[float, ...] = ()  # a further weight for each class


@dataclasses.dataclass(frozen=True)
class TasksConfig:
    """What is learnt at once, with its weight in the loss; 0 leaves it out, and then there is no head for it."""

    direction: float = 1.0  # the loss above
    volatility: float = 0.0  # log standard deviation of the forward return, by Gaussian likelihood
    expected_return: float = 0.0  # mean of the forward return, in units of its deviation
    horizons: tuple[int, ...] = ()  # further horizons of the label, bars
    further: float = 1.0  # of the cross-entropy at these, all together


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    learning_rate: float = 2e-3
    schedule: str = "cosine"  # or "constant"; both after the warm-up
    warmup: int = 50  # steps
    weight_decay: float = 1e-3  # on matrices and kernels only
    clip_norm: float = 1.0
    ema: float = 0.99  # decay of the averaged weights that evaluation uses; 0 switches it off
    swa: float = 0.0  # last share of the steps over which weights are averaged evenly instead; 0: not
    sam: float = 0.0  # how far uphill the gradient is taken (sharpness-aware minimisation); 0: not


@dataclasses.dataclass(frozen=True)
class MixupConfig:
    name: str = "none"  # one of train.mixup.MIXUPS
    alpha: float = 0.2  # lambda ~ Beta(alpha, alpha): mostly near 0 or 1 when small, uniform at 1


@dataclasses.dataclass(frozen=True)
class ViewsConfig:
    """How the two views of a segment differ in contrastive learning (`train.views`); 0 leaves a change out."""

    scaling: float = 0.1  # standard deviation of the log of a factor for each feature of a segment
    jitter: float = 0.1  # standard deviation of noise on every value, in units of the scaled features
    dropout: float = 0.1  # share of the features that are taken out of a segment
    masking: float = 0.5  # share of the bars that are taken out
    crop: float = 0.5  # largest share of a segment that is forgotten at its beginning


@dataclasses.dataclass(frozen=True)
class PretrainConfig:
    """Contrastive training of everything below the heads, before they are trained with it, or alone (train.only)."""

    name: str = "none"  # a key of losses.contrastive.CONTRASTIVE
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of that loss, such as temperature
    steps: int = 300
    width: int = 64  # of the hidden layer of the projection, which is thrown away afterwards
    channels: int = 32  # of the projection
    views: ViewsConfig = ViewsConfig()


@dataclasses.dataclass(frozen=True)
class CurriculumConfig:
    name: str = "none"  # one of train.curriculum.SCORES: what makes a segment easy
    reverse: bool = False  # hard ones first, as a control
    pace: str = "root"  # one of train.curriculum.PACES
    start: float = 0.25  # share of the segments that is open at the first step
    until: float = 0.5  # share of the training after which all are


@dataclasses.dataclass(frozen=True)
class MetaConfig:
    """Weights from which a few steps on a task's support do well on its query; a batch is tasks x (support, query)."""

    name: str = "none"  # one of train.meta.METAS
    tasks: str = "blocks"  # one of train.meta.TASKS
    regimes: int = 3  # of equal numbers of segments, for tasks = "regimes"
    segments: int = 1  # of a support, and of a query
    steps: int = 3  # of plain gradient descent on the support
    learning_rate: float = 0.1  # of these
    only: str = "all"  # or "heads": only the heads adapt


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    steps: int = 1000
    start: str = ""  # folder of an earlier run of the same model, from whose best weights training starts
    only: str = "all"  # or "heads": everything below the heads stays as it is (a linear probe)
    members: int = 1  # of an ensemble, with seeds seed, seed + 1, ...; their forecasts are averaged
    over: str = "seeds"  # or "folds": besides, each member leaves out another block of the training rows
    batch: int = 8  # segments a step
    segment: int = 512  # labelled bars of each symbol in a segment; the warm-up comes on top
    dispatch: int = 10  # steps in one compiled call
    eval_every: int = 100  # steps; a multiple of `dispatch`
    patience: int = 5  # evaluations without improvement before stopping; 0: never
    keep: int = 3  # last checkpoints kept, besides the best
    mixup: MixupConfig = MixupConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    meta: MetaConfig = MetaConfig()


@dataclasses.dataclass(frozen=True)
class AdaptConfig:
    """Forecasts of the validation and the test span by weights that adapt again and again to what has just happened."""

    steps: int = 0  # of plain gradient descent, each time from the trained weights; 0: none
    learning_rate: float = 0.1  # of these
    every: int = 168  # bars from one adaptation to the next
    lookback: int = 672  # last bars whose labels are known: what is adapted to
    only: str = "all"  # or "heads": everything below the heads stays as it is


@dataclasses.dataclass(frozen=True)
class TradeConfig:
    sizing: str = "threshold"  # equal parts of the most confident; or "proportional": p_up - p_down of all, as the loss
    coverage: float = 0.1  # share of most confident forecasts that are traded, threshold from validation rows
    gross: float = 1.0  # largest sum of absolute weights
    short: bool = True
    fee_bps: float = 10.0  # a side
    half_spread_bps: float = 1.0  # a side
    latency: int = 0  # bars after the first possible fill


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    coverages: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25, 0.1, 0.05)
    null_floor: bool = True  # train the same pipeline on a random walk and on shuffled returns of the same data
    bootstrap: int = 2000  # samples
    block: str = "1d"  # block of the bootstrap


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """The feature study; never part of a trial."""

    horizons: tuple[int, ...] = (1, 4, 16, 64)  # bars of the forward return, label "tradable"
    span: str = "train"  # or "train+valid"; the test span stays closed
    fdr: float = 0.05  # false discovery rate over all columns and horizons
    bootstrap: int = 1000  # samples
    block: str = "1d"  # block of the bootstrap; longer where a horizon needs it
    periods: int = 12  # equal stretches of the span that show stability
    cluster: float = 0.7  # absolute rank correlation above which columns are redundant


@dataclasses.dataclass(frozen=True)
class RunConfig:
    name: str = "run"
    seed: int = 0
    data: DataConfig = DataConfig()
    features: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    scaler: ScalerConfig = ScalerConfig()
    label: LabelConfig = LabelConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    tasks: TasksConfig = TasksConfig()
    pretrain: PretrainConfig = PretrainConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    adapt: AdaptConfig = AdaptConfig()
    trade: TradeConfig = TradeConfig()
    report: ReportConfig = ReportConfig()
    study: StudyConfig = StudyConfig()


def to_config_dict(config: RunConfig | None = None) -> ConfigDict:
    """The config as a mutable `ConfigDict`, which config files edit and command-line flags override."""
    return ConfigDict(to_dict(config or RunConfig()))


def to_dict(config: Any) -> dict:
    """Plain dicts, tuples and scalars of a config dataclass."""
    return {
        f.name: to_dict(v) if dataclasses.is_dataclass(v := getattr(config, f.name)) else _plain(v)
        for f in dataclasses.fields(config)
    }


def freeze(values: Mapping[str, Any]) -> RunConfig:
    """The `RunConfig` of nested mappings (a ConfigDict, parsed JSON).

    Raises:
        ConfigError: an unknown key (naming the nearest valid one), a wrong type or an impossible value.
    """
    if isinstance(values, ConfigDict):
        values = values.to_dict()
    config = build(RunConfig, values, "config")
    _check(config)
    return config


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` and the list of what exists, for an error message about an unknown name."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, 1, 0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"{hint} (known: {', '.join(valid) or 'none'})"


def check_options(known: Iterable[str], given: Mapping[str, Any], where: str) -> None:
    """Raises ConfigError for the first given option that is not known."""
    for key in given:
        if key not in known:
            raise ConfigError(f"{where} has no option '{key}'{nearest(key, known)}")


def check_like(default: Any, value: Any, where: str) -> None:
    """Raises ConfigError unless value is of the kind of default; lists are not empty, whole numbers at least 1."""
    kind = type(default)
    if kind is tuple:
        if not isinstance(value, (list, tuple)) or not value:
            raise ConfigError(f"{where} must be a list such as {default}, got {value!r}")
        for item in value:
            check_like(default[0], item, where)
    elif type(value) is not kind and not (kind is float and type(value) is int):
        raise ConfigError(f"{where} must be {kind.__name__}, got {value!r}")
    elif kind is int and value < 1:
        raise ConfigError(f"{where} must be at least 1, got {value}")


def build(cls, values, path: str):
    """The dataclass of nested mappings, whose types it checks; `path` stands in front of the keys in errors."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} must be a group of keys, got {values!r}")
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            raise ConfigError(f"{path} has no key '{key}'{nearest(key, hints)}")
    return cls(**{key: _convert(hints[key], v, f"{path}.{key}") for key, v in values.items()})


def _convert(hint, value, path: str):
    if dataclasses.is_dataclass(hint):
        return build(hint, value, path)
    origin = typing.get_origin(hint)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise ConfigError(f"{path} must be a list, got {value!r}")
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, v, f"{path}[{i}]") for i, v in enumerate(value))
    if origin is not None:  # Mapping[str, ...]: free options, checked by the room that owns them
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} must be a group of keys, got {value!r}")
        item = typing.get_args(hint)[1]
        return types.MappingProxyType(
            {k: _plain(v) if item is Any else _convert(item, v, f"{path}.{k}") for k, v in value.items()}
        )
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is float and number:
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{path} must be {hint.__name__}, got {value!r} ({type(value).__name__})")
    return value


def _plain(value):
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return tuple(_plain(v) for v in value) if isinstance(value, (list, tuple)) else value


def _check(c: RunConfig) -> None:
    def require(good: bool, key: str, value, must: str):
        if not good:
            raise ConfigError(f"config.{key} = {value!r}: {must}")

    require(bool(c.features), "features", dict(c.features), "name at least one feature")
    require(c.data.span in ("common", "union"), "data.span", c.data.span, "must be 'common' or 'union'")
    require(c.seed >= 0, "seed", c.seed, "must not be negative")
    require(c.label.horizon >= 1, "label.horizon", c.label.horizon, "must be at least 1 bar")
    require(c.label.classes in (2, 3), "label.classes", c.label.classes, "must be 2 or 3")
    require(0 < c.label.dead_zone < 1, "label.dead_zone", c.label.dead_zone, "must lie between 0 and 1")
    require(c.label.median_window >= 1, "label.median_window", c.label.median_window, "must be at least 1 bar")
    require(c.split.valid > 0 and c.split.test > 0, "split", to_dict(c.split), "valid and test must be positive shares")
    require(c.split.valid + c.split.test < 1, "split", to_dict(c.split), "valid + test must leave rows for training")
    require(c.split.embargo >= 0, "split.embargo", c.split.embargo, "must not be negative")
    require(c.scaler.halflife > 0, "scaler.halflife", c.scaler.halflife, "must be positive")
    require(c.scaler.clip > 0, "scaler.clip", c.scaler.clip, "must be positive")
    require(c.scaler.window >= 2, "scaler.window", c.scaler.window, "must be at least 2 bars")
    require(0 <= c.scaler.winsor < 0.5, "scaler.winsor", c.scaler.winsor, "must be in [0, 0.5)")
    require(0 <= c.loss.balance <= 1, "loss.balance", c.loss.balance, "must be in [0, 1]")
    alpha = c.loss.alpha
    require(len(alpha) in (0, c.label.classes), "loss.alpha", alpha, f"must have {c.label.classes} weights, or none")
    require(all(v > 0 for v in alpha), "loss.alpha", alpha, "must be positive")
    for key in ("direction", "volatility", "expected_return", "further"):
        require(getattr(c.tasks, key) >= 0, f"tasks.{key}", getattr(c.tasks, key), "must not be negative")
    horizons = c.tasks.horizons
    require(all(h >= 1 for h in horizons), "tasks.horizons", horizons, "must be at least 1 bar each")
    single = len({c.label.horizon, *horizons}) == 1 + len(horizons)
    require(single, "tasks.horizons", horizons, "must differ from each other and from label.horizon")
    schedules = ("cosine", "constant")
    require(c.optim.schedule in schedules, "optim.schedule", c.optim.schedule, "must be 'cosine' or 'constant'")
    require(c.optim.learning_rate > 0, "optim.learning_rate", c.optim.learning_rate, "must be positive")
    require(0 <= c.optim.ema < 1, "optim.ema", c.optim.ema, "must be in [0, 1)")
    require(0 <= c.optim.swa < 1, "optim.swa", c.optim.swa, "must be in [0, 1)")
    require(c.optim.sam >= 0, "optim.sam", c.optim.sam, "must not be negative")
    for key in ("steps", "width", "channels"):
        require(getattr(c.pretrain, key) >= 1, f"pretrain.{key}", getattr(c.pretrain, key), "must be at least 1")
    once = not (c.train.start and c.pretrain.name != "none")
    require(once, "train.start", c.train.start, "training cannot start from a run and be pre-trained (pretrain.name)")
    require(c.train.only in ("all", "heads"), "train.only", c.train.only, "must be 'all' or 'heads'")
    require(c.train.over in ("seeds", "folds"), "train.over", c.train.over, "must be 'seeds' or 'folds'")
    folds = c.train.over == "seeds" or c.train.members > 1
    require(folds, "train.members", c.train.members, "must be at least 2, one for each fold (train.over)")
    require(c.optim.warmup >= 0, "optim.warmup", c.optim.warmup, "must not be negative")
    require(c.optim.weight_decay >= 0, "optim.weight_decay", c.optim.weight_decay, "must not be negative")
    require(c.optim.clip_norm > 0, "optim.clip_norm", c.optim.clip_norm, "must be positive")
    for key in ("steps", "members", "batch", "segment", "dispatch", "eval_every", "keep"):
        require(getattr(c.train, key) >= 1, f"train.{key}", getattr(c.train, key), "must be at least 1")
    require(c.train.mixup.alpha > 0, "train.mixup.alpha", c.train.mixup.alpha, "must be positive")
    for key in ("start", "until"):
        value = getattr(c.train.curriculum, key)
        require(0 < value <= 1, f"train.curriculum.{key}", value, "must be in (0, 1]")
    meta, adapt = c.train.meta, c.adapt
    for key in ("regimes", "segments", "steps"):
        require(getattr(meta, key) >= 1, f"train.meta.{key}", getattr(meta, key), "must be at least 1")
    require(adapt.steps >= 0, "adapt.steps", adapt.steps, "must not be negative")
    for key in ("every", "lookback"):
        require(getattr(adapt, key) >= 1, f"adapt.{key}", getattr(adapt, key), "must be at least 1 bar")
    for key, group in (("train.meta", meta), ("adapt", adapt)):
        require(group.learning_rate > 0, f"{key}.learning_rate", group.learning_rate, "must be positive")
        require(group.only in ("all", "heads"), f"{key}.only", group.only, "must be 'all' or 'heads'")
    require(c.train.patience >= 0, "train.patience", c.train.patience, "must not be negative")
    require(
        c.train.eval_every % c.train.dispatch == 0,
        "train.eval_every",
        c.train.eval_every,
        f"must be a multiple of train.dispatch ({c.train.dispatch})",
    )
    kinds = ("threshold", "proportional")
    require(c.trade.sizing in kinds, "trade.sizing", c.trade.sizing, "must be 'threshold' or 'proportional'")
    require(0 < c.trade.coverage <= 1, "trade.coverage", c.trade.coverage, "must be in (0, 1]")
    require(c.trade.latency >= 0, "trade.latency", c.trade.latency, "must not be negative")
    for key in ("fee_bps", "half_spread_bps", "gross"):
        require(getattr(c.trade, key) >= 0, f"trade.{key}", getattr(c.trade, key), "must not be negative")
    require(c.report.bootstrap >= 1, "report.bootstrap", c.report.bootstrap, "must be at least 1")
    coverages = c.report.coverages
    require(all(0 < v <= 1 for v in coverages), "report.coverages", coverages, "must be in (0, 1]")
    require(coverages[:1] == (1.0,), "report.coverages", coverages, "must begin with 1.0, all forecasts")
    horizons = c.study.horizons
    distinct = len(set(horizons)) == len(horizons) > 0
    require(distinct and min(horizons) >= 1, "study.horizons", horizons, "must be distinct numbers of bars, at least 1")
    spans = ("train", "train+valid")
    require(c.study.span in spans, "study.span", c.study.span, "must be 'train' or 'train+valid'; test stays closed")
    require(0 < c.study.fdr < 1, "study.fdr", c.study.fdr, "must lie between 0 and 1")
    require(0 < c.study.cluster <= 1, "study.cluster", c.study.cluster, "must be in (0, 1]")
    for key in ("bootstrap", "periods"):
        require(getattr(c.study, key) >= 1, f"study.{key}", getattr(c.study, key), "must be at least 1")
