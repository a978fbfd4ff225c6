"""The configuration of a run: frozen dataclasses, and the way from a config file and command-line overrides to them.

`configs/*.py` build an `ml_collections.ConfigDict` from these defaults with `to_config_dict`, the command line
overrides keys, and `freeze` turns the result into a `RunConfig`. Whatever does not fit is a `ConfigError` that names
the key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from fxtrade.core import rules
from fxtrade.core.options import build, to_dict


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where bars come from: the simulated market (`path` empty) or files."""

    path: str = ""
    symbols: tuple[str, ...] = ()  # empty: every file in the folder
    start: str = ""  # UTC dates such as 2024-04-11, inclusive; empty: from the beginning
    end: str = ""  # exclusive
    align: str = "intersection"  # of the symbols' spans: where all are listed; or "union": where any is
    clock: str = "1s"  # rows of order-book data, e.g. "100ms"; "" makes every update a row
    resample: str = ""  # e.g. "15m": make coarser bars of closed finer ones
    synth: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # options of data.synth.SynthSpec


@dataclasses.dataclass(frozen=True)
class ScalerConfig:
    halflife: float = 500.0  # bars, of the exponentially weighted scalers
    clip: float = 5.0  # standard deviations
    name: str = "robust_zscore"  # a key of features.scale.SCALERS; "median_mad" and "rank_normal" are 20 times slower
    window: int = 256  # bars, of the scalers by order statistics and of winsorising
    winsor: float = 0.0  # columns are first limited to these upper and lower shares of the window; 0: not


@dataclasses.dataclass(frozen=True)
class LabelConfig:
    name: str = "open_to_open"  # a key of labels.LABELS
    horizon: int = 1  # bars
    classes: int = 2  # 3 adds "flat" inside the dead zone
    flat_fraction: float = 0.33  # share of training rows that are flat when classes = 3
    median_window: int = 2880  # bars of the trailing median, for name = "volatility_direction"


@dataclasses.dataclass(frozen=True)
class SplitConfig:
    valid_fraction: float = 0.15  # share of the time span before the test span
    test_fraction: float = 0.15  # last share of the time span
    embargo: int = 0  # bars left out between the spans, besides purging


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    name: str = "wavenet"  # a key of models.MODELS
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # fields of that module


@dataclasses.dataclass(frozen=True)
class LossConfig:
    name: str = "cross_entropy"  # a key of losses.LOSSES
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of that loss, such as gamma
    effective_number_beta: float = (
        0.0  # classes by 1 / their effective number in the training rows: 0 not, 0.9999 nearly, 1 fully
    )
    class_weights: tuple[float, ...] = ()  # a further weight for each class


@dataclasses.dataclass(frozen=True)
class AuxiliaryConfig:
    """What is learnt at once, with its weight in the loss; 0 leaves it out, and then there is no head for it."""

    direction: float = 1.0  # the loss above
    volatility: float = 0.0  # log standard deviation of the forward return, by Gaussian likelihood
    expected_return: float = 0.0  # mean of the forward return, in units of its deviation
    horizons: tuple[int, ...] = ()  # further horizons of the label, bars
    horizon_weight: float = 1.0  # of the cross-entropy at these, all together


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    learning_rate: float = 2e-3
    schedule: str = "cosine"  # or "constant"; both after the warm-up
    warmup: int = 50  # steps
    weight_decay: float = 1e-3  # on matrices and kernels only
    clip_norm: float = 1.0
    ema_decay: float = 0.99  # decay of the averaged weights that evaluation uses; 0 switches it off
    swa_fraction: float = 0.0  # last share of the steps over which weights are averaged evenly instead; 0: not
    sam_rho: float = 0.0  # how far uphill the gradient is taken (sharpness-aware minimisation); 0: not


@dataclasses.dataclass(frozen=True)
class MixupConfig:
    name: str = "none"  # one of train.mixup.MIXUPS
    alpha: float = 0.2  # lambda ~ Beta(alpha, alpha): mostly near 0 or 1 when small, uniform at 1


@dataclasses.dataclass(frozen=True)
class ViewsConfig:
    """How the two views of a segment differ in contrastive learning (`train.augment`); 0 leaves a change out."""

    scaling: float = 0.1  # standard deviation of the log of a factor for each feature of a segment
    jitter: float = 0.1  # standard deviation of noise on every value, in units of the scaled features
    dropout: float = 0.1  # share of the features that are taken out of a segment
    masking: float = 0.5  # share of the bars that are taken out
    crop: float = 0.5  # largest share of a segment that is forgotten at its beginning


@dataclasses.dataclass(frozen=True)
class PretrainConfig:
    """Contrastive training of everything below the heads, before they are trained with it, or alone (train.trainable)."""

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
    end: float = 0.5  # share of the training after which all are


@dataclasses.dataclass(frozen=True)
class MetaConfig:
    """Weights from which a few steps on a task's support do well on its query; a batch is tasks x (support, query)."""

    name: str = "none"  # one of train.meta.METAS
    tasks: str = "blocks"  # one of train.meta.TASKS
    regimes: int = 3  # of equal numbers of segments, for tasks = "regimes"
    segments: int = 1  # of a support, and of a query
    steps: int = 3  # of plain gradient descent on the support
    learning_rate: float = 0.1  # of these
    trainable: str = "all"  # or "heads": only the heads adapt


@dataclasses.dataclass(frozen=True)
class EnsembleConfig:
    """Members of an ensemble, trained in one program; their forecasts are averaged."""

    size: int = 1  # members, with seeds seed, seed + 1, ...
    method: str = "seeds"  # or "folds": each member also leaves out another block of the training rows


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    steps: int = 1000
    init_from: str = ""  # folder of an earlier run of the same model, from whose best weights training starts
    trainable: str = "all"  # or "heads": everything below the heads stays as it is (a linear probe)
    batch: int = 8  # segments a step
    segment_length: int = 512  # labelled bars of each symbol in a segment; the warm-up comes on top
    steps_per_call: int = 10  # steps in one compiled call
    eval_every: int = 100  # steps; a multiple of `steps_per_call`
    patience: int = 5  # evaluations without improvement before stopping; 0: never
    max_to_keep: int = 3  # last checkpoints kept, besides the best
    ensemble: EnsembleConfig = EnsembleConfig()
    mixup: MixupConfig = MixupConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    meta: MetaConfig = MetaConfig()


@dataclasses.dataclass(frozen=True)
class AdaptConfig:
    """Forecasts of the validation and the test span by weights that adapt again and again to what has just happened."""

    steps: int = 0  # of plain gradient descent, each time from the trained weights; 0: none
    learning_rates: tuple[float, ...] = (
        0.1,
    )  # of these, 0: none; of several the one with the least validation log loss
    every: int = 168  # bars from one adaptation to the next
    lookback: int = 672  # last bars whose labels are known: what is adapted to
    trainable: str = "all"  # or "heads": everything below the heads stays as it is


@dataclasses.dataclass(frozen=True)
class TradeConfig:
    sizing: str = "threshold"  # a key of risk.SIZING: equal parts of the most confident; "proportional": p_up - p_down
    coverage: float = 0.1  # share of most confident forecasts that are traded, threshold from validation rows
    max_gross_exposure: float = 1.0  # largest sum of absolute weights
    allow_short: bool = True
    fee_bps: float = 10.0  # a side
    half_spread_bps: float = 1.0  # a side
    latency: int = 0  # bars after the first possible fill


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    coverages: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25, 0.1, 0.05)
    null_baseline: bool = True  # train the same pipeline on a random walk and on shuffled returns of the same data
    bootstrap_samples: int = 2000  # samples
    bootstrap_block: str = "1d"  # block of the bootstrap


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """The feature study; never part of a trial."""

    horizons: tuple[int, ...] = (1, 4, 16, 64)  # bars of the forward return, label "open_to_open"
    span: str = "train"  # or "train+valid"; the test span stays closed
    fdr: float = 0.05  # false discovery rate over all columns and horizons
    bootstrap_samples: int = 1000  # samples
    bootstrap_block: str = "1d"  # block of the bootstrap; longer where a horizon needs it
    periods: int = 12  # equal stretches of the span that show stability
    cluster_threshold: float = 0.7  # absolute rank correlation above which columns are redundant


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
    auxiliary: AuxiliaryConfig = AuxiliaryConfig()
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


def freeze(values: Mapping[str, Any]) -> RunConfig:
    """The `RunConfig` of nested mappings (a ConfigDict, parsed JSON).

    Raises:
        ConfigError: an unknown key (naming the nearest valid one), a wrong type or an impossible value.
    """
    if isinstance(values, ConfigDict):
        values = values.to_dict()
    config = build(RunConfig, values, "config")
    rules.check(config)
    return config
