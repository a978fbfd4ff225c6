"""The configuration of a run: frozen dataclasses, built from a config file and command-line overrides.

Annotations state the types and ranges of values; a `__post_init__` checks values against each other. An invalid value
raises a `ConfigError` that names the key. `None` disables an option; so does the name "none". `config_dict` makes a
`RunConfig` from config files and the command line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, get_args

from fxtrade.core.config_base import Config, Options, empty
from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Fraction, Interval, Natural, NonNegative, Positive, Share, require
from fxtrade.core.trade_config import TradeConfig

Trainable = Literal["all", "heads"]  # "heads": all other parameters are frozen
Mixup = Literal["none", "input", "manifold", "cutmix"]
Score = Literal["none", "teacher_loss", "abs_return", "volatility", "random"]  # the difficulty of a segment
Pace = Literal["linear", "root", "exponential", "step"]
Meta = Literal["none", "reptile", "fomaml", "maml"]
Task = Literal["blocks", "regimes"]
Baseline = Literal["logistic_regression", "boosted_trees", "mlp", "har", "seasonal_har"]


@dataclasses.dataclass(frozen=True)
class DataConfig(Config):
    """The source of bars: files, or the simulated market if `path` is None."""

    path: str | None = None
    symbols: tuple[str, ...] | None = None  # None: every file in the folder
    start: str | None = None  # ISO dates such as 2024-04-11 or 2024-04-11T12:00, UTC; None: from the beginning
    end: str | None = None  # exclusive
    align: Literal["intersection", "union"] = "intersection"  # of the symbols' spans
    stamp: Literal["open", "close"] = "open"  # which end of a bar its time names
    empty_bars: Literal["gap", "flat"] = "gap"  # a bar that a file lacks: "flat" for exchanges that omit empty ones
    date_format: str | None = None  # of dates that are not ISO, e.g. "%d/%m/%Y %H:%M"
    clock: str | None = "1s"  # rows of order-book data, e.g. "100ms"; None makes every update a row
    resample: str | None = None  # e.g. "15m": make coarser bars of closed finer ones
    perpetuals: str | None = None  # folder of perpetual contracts on the coins, added as BTCUSDT_PERP; None: none
    exclude: tuple[str, ...] | None = None  # symbols, or patterns such as "USD*", that are left out of `symbols`
    synth: Options = empty()  # options of data.synth.SynthSpec


def check_of_rules(data: DataConfig, run: str | None, trade: TradeConfig, unused: Sequence[str], hint: str) -> None:
    """Raise ConfigError for keys that a config of rules, in place of a network, does not use.

    Args:
        run: folder of a finished run, whose bars are traded: then `data` has no key but `path`.
        unused: keys of `trade`.
        hint: why, the end of the message.
    """
    alone = dataclasses.replace(data, path=None) == DataConfig()
    require(alone or run is None, "config.data", data, "have no key but path beside config.run")
    for key in unused:
        given, default = getattr(trade, key), getattr(TradeConfig(), key)
        require(given == default, f"config.trade.{key}", given, f"stay {default}: {hint}")


@dataclasses.dataclass(frozen=True)
class ScalerConfig(Config):
    """The scaler of features. `halflife`, `clip` and `window` are passed to the scalers that have these options."""

    halflife: Positive = 500.0  # bars, of the exponentially weighted scalers
    clip: Positive = 5.0  # standard deviations
    name: str = "robust_zscore"  # a key of features.scale.SCALERS; "median_mad" and "rank_normal" are 20 times slower
    window: Annotated[int, Interval(ge=2)] = 256  # bars, of the scalers by order statistics and of winsorising
    winsor: Annotated[float, Interval(gt=0, lt=0.5)] | None = None  # columns are first limited to these quantiles
    options: Options = empty()  # further options of that scaler
    passthrough: tuple[str, ...] | None = None  # features that are not scaled; None: none


@dataclasses.dataclass(frozen=True)
class LabelConfig(Config):
    name: str = "open_to_open"  # a key of labels.LABELS
    horizon: int = 1  # bars
    classes: Literal[2, 3] = 2  # 3 adds "flat"
    flat_fraction: Fraction = 0.33  # share of training rows that are flat when classes = 3
    options: Options = empty()  # of that label, such as median_window


@dataclasses.dataclass(frozen=True)
class SplitConfig(Config):
    """The split of rows into training, validation and test. Every scheme uses the two fractions and the embargo."""

    valid_fraction: Fraction = 0.15  # share of the time span before the test span
    test_fraction: Fraction = 0.15  # last share of the time span
    embargo: Natural = 0  # bars left out between the spans, besides purging
    name: str = "by_time"  # a key of validate.splits.SPLITS
    options: Options = empty()  # further options of that scheme, such as blocks

    def __post_init__(self):
        super().__post_init__()
        total = self.valid_fraction + self.test_fraction
        require(total < 1, "valid_fraction + test_fraction", round(total, 12), "be below 1")


@dataclasses.dataclass(frozen=True)
class EncodingConfig(Config):
    name: str = "none"  # or a key of models.ENCODINGS
    options: Options = empty()  # fields of that module, such as bins; none without an encoding


@dataclasses.dataclass(frozen=True)
class ModelConfig(Config):
    name: str = "wavenet"  # a key of models.MODELS
    options: Options = empty()  # fields of that module
    encoding: EncodingConfig = EncodingConfig()  # of the features, before the network


@dataclasses.dataclass(frozen=True)
class LossConfig(Config):
    name: str = "cross_entropy"  # a key of losses.LOSSES
    options: Options = empty()  # of that loss, such as gamma
    effective_number_beta: Share | None = None  # weight classes by 1 / effective number; 1: by 1 / number
    class_weights: tuple[Positive, ...] | None = None  # a further weight for each class


@dataclasses.dataclass(frozen=True)
class AuxiliaryConfig(Config):
    """The weights of the terms of the loss. A term of weight 0 is left out, and so is its head."""

    direction: NonNegative = 1.0  # the loss of LossConfig
    volatility: NonNegative = 0.0  # log standard deviation of the forward return, by Gaussian likelihood
    expected_return: NonNegative = 0.0  # mean of the forward return, in units of its deviation
    horizons: tuple[int, ...] | None = None  # further horizons of the label, bars
    horizon_weight: NonNegative = 1.0  # of the mean cross-entropy at these horizons


@dataclasses.dataclass(frozen=True)
class OptimConfig(Config):
    learning_rate: Positive = 2e-3
    schedule: Literal["cosine", "constant"] = "cosine"  # after the warm-up
    warmup: Natural = 50  # steps
    weight_decay: NonNegative = 1e-3  # on matrices and kernels only
    clip_norm: Positive = 1.0
    ema_decay: Fraction | None = 0.99  # decay of the averaged weights that evaluation uses
    swa_fraction: Fraction | None = None  # last share of the steps over which weights are averaged evenly instead
    sam_rho: Positive | None = None  # radius of the ascent step of sharpness-aware minimisation


@dataclasses.dataclass(frozen=True)
class MixupConfig(Config):
    name: Mixup = "none"  # see train.mixup
    alpha: Positive = 0.2  # lambda ~ Beta(alpha, alpha): near 0 or 1 for a small alpha, uniform for 1


@dataclasses.dataclass(frozen=True)
class ViewsConfig(Config):
    """The random changes that make two views of a segment (`train.augment`); a strength of 0 disables a change."""

    scaling: NonNegative = 0.1  # standard deviation of the log of a factor for each feature of a segment
    jitter: NonNegative = 0.1  # standard deviation of noise on every value, in units of the scaled features
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.1  # share of the features set to 0 in a segment
    masking: Annotated[float, Interval(ge=0, lt=1)] = 0.5  # share of the bars set to 0
    crop: Annotated[float, Interval(ge=0, lt=1)] = 0.5  # largest share of a segment set to 0 at its beginning


@dataclasses.dataclass(frozen=True)
class PretrainConfig(Config):
    """Contrastive pretraining of everything but the heads; train.trainable chooses what is trained afterwards."""

    name: str = "none"  # a key of losses.contrastive.CONTRASTIVE
    options: Options = empty()  # of that loss, such as temperature
    steps: int = 300
    width: int = 64  # of the hidden layer of the projector, which is discarded afterwards
    channels: int = 32  # of the projection
    views: ViewsConfig = ViewsConfig()


@dataclasses.dataclass(frozen=True)
class CurriculumConfig(Config):
    name: Score = "none"  # the difficulty of a segment, see train.curriculum
    reverse: bool = False  # hard segments first, as a control
    pace: Pace = "root"
    start: Share = 0.25  # share of the segments that is open at the first step
    end: Share = 0.5  # share of the training after which all are


@dataclasses.dataclass(frozen=True)
class MetaConfig(Config):
    """Meta-learning: initial weights that adapt to a task in a few steps; a batch is tasks x (support, query)."""

    name: Meta = "none"  # see train.meta
    tasks: Task = "blocks"  # see train.meta_tasks
    regimes: int = 3  # of equal numbers of segments, for tasks = "regimes"
    segments: int = 1  # of a support, and of a query
    steps: int = 3  # of plain gradient descent on the support
    learning_rate: Positive = 0.1  # of these steps
    trainable: Trainable = "all"


@dataclasses.dataclass(frozen=True)
class EnsembleConfig(Config):
    """An ensemble of networks, trained in one program; their forecasts are averaged."""

    size: int = 1  # members, with seeds seed, seed + 1, ...
    method: Literal["seeds", "folds"] = "seeds"  # "folds": each member also leaves out another block of training rows

    def __post_init__(self):
        super().__post_init__()
        require(self.method != "folds" or self.size > 1, "size", self.size, "be at least 2, one for each fold (method)")


@dataclasses.dataclass(frozen=True)
class TrainConfig(Config):
    steps: int = 1000
    init_from: str | None = None  # folder of an earlier run of the same model: start from its best weights
    trainable: Trainable = "all"  # "heads" is a linear probe
    batch: int = 8  # segments per step
    segment_length: int = 512  # labelled bars of each symbol in a segment, without the warm-up
    steps_per_call: int = 10  # steps in one compiled call
    eval_every: int = 100  # steps; a multiple of `steps_per_call`
    patience: int | None = 5  # evaluations without improvement before stopping
    max_to_keep: int = 3  # last checkpoints kept, besides the best
    ensemble: EnsembleConfig = EnsembleConfig()
    mixup: MixupConfig = MixupConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    meta: MetaConfig = MetaConfig()

    def __post_init__(self):
        super().__post_init__()
        whole = self.eval_every % self.steps_per_call == 0
        require(whole, "eval_every", self.eval_every, f"be a multiple of steps_per_call ({self.steps_per_call})")


@dataclasses.dataclass(frozen=True)
class AdaptConfig(Config):
    """Online adaptation: weights are fitted to recent bars at regular intervals of the validation and test spans."""

    steps: int | None = None  # of plain gradient descent from the trained weights; None: no adaptation
    learning_rates: tuple[NonNegative, ...] = (0.1,)  # the best by validation log loss is used; 0: no adaptation
    every: int = 168  # bars from one adaptation to the next
    lookback: int = 672  # bars to adapt to: the last ones whose labels are known
    trainable: Trainable = "all"


@dataclasses.dataclass(frozen=True)
class ReportConfig(Config):
    coverages: tuple[Share, ...] = (1.0, 0.75, 0.5, 0.25, 0.1, 0.05)
    baselines: tuple[Baseline, ...] | None = get_args(Baseline)  # learned; None: none. HAR only for volatility
    null_baseline: bool = True  # train the same pipeline on a random walk and on shuffled returns of the same data
    bootstrap_samples: int = 2000
    bootstrap_block: str = "1d"  # block of the bootstrap

    def __post_init__(self):
        super().__post_init__()
        require(self.coverages[0] == 1, "coverages", self.coverages, "start with 1.0 (all forecasts)")


@dataclasses.dataclass(frozen=True)
class StudyConfig(Config):
    """The feature study; trials do not depend on it."""

    horizons: tuple[int, ...] = (1, 4, 16, 64)  # bars of the forward return, label "open_to_open"
    span: Literal["train", "train+valid"] = "train"  # never the test span
    fdr: Fraction = 0.05  # false discovery rate over all columns and horizons
    bootstrap_samples: int = 1000
    bootstrap_block: str = "1d"  # block of the bootstrap; longer where a horizon needs it
    periods: int = 12  # equal parts of the span, between which stability is measured
    cluster_threshold: Share = 0.7  # absolute rank correlation above which columns are redundant

    def __post_init__(self):
        super().__post_init__()
        distinct = len(set(self.horizons)) == len(self.horizons)
        require(distinct, "horizons", self.horizons, "be distinct")


@dataclasses.dataclass(frozen=True)
class RunConfig(Config):
    name: str = "run"
    seed: Natural = 0
    data: DataConfig = DataConfig()
    features: Mapping[str, Options] = empty()  # options by key of features.FEATURES
    scaler: ScalerConfig = ScalerConfig()
    label: LabelConfig = LabelConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    auxiliary: AuxiliaryConfig = AuxiliaryConfig()
    pretrain: PretrainConfig = PretrainConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    adapt: AdaptConfig = AdaptConfig()
    trade: TradeConfig = TradeConfig()  # its keys are in trade_config
    report: ReportConfig = ReportConfig()
    study: StudyConfig = StudyConfig()

    def __post_init__(self):
        super().__post_init__()
        weights, horizons = self.loss.class_weights, self.auxiliary.horizons or ()
        fits = weights is None or len(weights) == self.label.classes
        require(fits, "loss.class_weights", weights, f"have {self.label.classes} weights, one for each class")
        distinct = len({self.label.horizon, *horizons}) == 1 + len(horizons)
        require(distinct, "auxiliary.horizons", horizons, "differ from each other and from label.horizon")
        if self.train.init_from is not None and self.pretrain.name != "none":
            raise ConfigError("train.init_from and pretrain.name cannot both be set: each provides the initial weights")
