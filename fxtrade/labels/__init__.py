"""Labels: the outcome after each row. Every label states the last bar that it depends on.

To add one, write a function `f(bars, *, horizon, options) -> Forward` and one line below.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from fxtrade.core import registry
from fxtrade.core.config import LabelConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.text import plural
from fxtrade.core.types import Array, Bars, Labels, check_bars
from fxtrade.labels import barriers, horizon, weights


class Label(NamedTuple):
    """An entry of `LABELS`.

    Attributes:
        function: from bars to `Forward`.
        title: name in tables.
        question: the question that the label answers, as a clause of a sentence with fields `{way}`, `{bars}`
            and those of the options of `function`.
        directional: whether the class is the direction of a price.
        tradable: whether the label starts at a price that a decision at its row can still trade at.
        path_dependent: whether the end depends on the prices, or is `horizon` bars away in every row.
        persistence: from bars to a score `[N, A]` known at each row, whose sign is the naive forecast of a label that
            is not directional.
    """

    function: Callable[..., horizon.Forward]
    title: str
    question: str
    directional: bool = True
    tradable: bool = False
    path_dependent: bool = False
    persistence: Callable[..., Float[np.ndarray, "N A"]] | None = None


@dataclasses.dataclass(frozen=True)
class LabelSpec:
    """The properties of the label of a config, for reports and evaluation; see `Label`."""

    name: str
    horizon: int
    classes: int
    title: str
    question: str
    directional: bool
    tradable: bool
    path_dependent: bool


LABELS = {
    "open_to_open": Label(
        horizon.open_to_open,
        "next open to a later open (tradable)",
        "whether the price goes {way} from the next open, the first price to trade at, to the open {bars} later",
        tradable=True,
    ),
    "close_to_close": Label(
        horizon.close_to_close,
        "close to close",
        "whether the price goes {way} from the last close to the close {bars} later",
    ),
    "volatility_direction": Label(
        horizon.volatility_direction,
        "volatility",
        "whether the volatility of the next {bars} lies above or below its median over the last {median_window} bars",
        directional=False,
        persistence=horizon.volatility_persistence,
    ),
    "triple_barrier": Label(
        barriers.triple_barrier,
        "triple barrier (tradable)",
        "whether the price reaches its profit or its stop first, or neither, within {bars} from the next open",
        tradable=True,
        path_dependent=True,
    ),
}


def spec(config: LabelConfig) -> LabelSpec:
    """Return the properties of the label of a config. Raises ConfigError for an unknown name."""
    registry.check_names([config.name], LABELS, "config.label: there is no label")
    entry = LABELS[config.name]
    way = "up, down or about the same" if config.classes == 3 else "up or down"
    bars = plural(config.horizon, "bar")
    defaults = {name: p.default for name, p in inspect.signature(entry.function).parameters.items()}
    question = entry.question.format_map(defaults | dict(config.options) | {"way": way, "bars": bars})
    traits = entry.directional, entry.tradable, entry.path_dependent
    return LabelSpec(config.name, config.horizon, config.classes, entry.title, question, *traits)


def alternatives(config: LabelConfig) -> dict[str, LabelConfig]:
    """Return the directional labels of a fixed horizon by name, on which forecasts of a directional one are compared.

    The result is empty for other labels, and for three classes, whose thresholds differ between labels.
    """
    if not spec(config).directional or config.classes != 2:
        return {}
    names = [name for name, entry in LABELS.items() if entry.directional and not entry.path_dependent]
    return {name: dataclasses.replace(config, name=name, options={}) for name in names}


def build(config: LabelConfig) -> Callable[[Bars], horizon.Forward]:
    """Return the function of the label of a config. Raises ConfigError for an unknown label or option."""
    return registry.build(LABELS, config.name, config.options, "label", "config.label", horizon=config.horizon)


def persistence(bars: Bars, config: LabelConfig) -> Float[np.ndarray, "N A"]:
    """Return the score whose sign is the naive forecast of a label that is not directional."""
    functions = {config.name: LABELS[config.name].persistence}
    persist = registry.build(functions, config.name, config.options, "label", "config.label", horizon=config.horizon)
    return persist(bars)


def make(
    bars: Bars, config: LabelConfig, train: Bool[Array, " N"] | None = None, horizons: Sequence[int] = ()
) -> Labels:
    """Return classes, forward returns, end indices and uniqueness weights of every row.

    Two classes: 0 down, 1 up. A value of exactly zero has no class: y = -1, but `ret` is defined, so zero moves can
    be counted.

    Three classes: 0 down, 1 flat, 2 up. A row is flat where the label defines it so; otherwise where |value| is at most
    the `flat_fraction` quantile of |value| in the training rows, separately for each asset. An asset without training
    rows then has no labels.

    Args:
        train: rows that the threshold of the third class may be taken from.
        horizons: further horizons in bars, of which classes and weights are added; `end` is then the latest of all.

    Raises:
        ConfigError: an unknown label or option, or three classes without training rows.
    """
    check_bars(bars, "labels.make")
    forward = build(config)(bars)
    value, known = forward.value, np.isfinite(forward.value)
    rows, assets = value.shape
    if config.classes == 2:
        y = np.where(value > 0, 1, 0)
        labelled = known & (value != 0)
    else:
        flat, labelled = _flat(forward, known, config.flat_fraction, train)
        y = np.where(flat, 1, np.where(value > 0, 2, 0))
    first = np.arange(rows) + forward.first_offset
    last, end = (np.arange(rows)[:, None] + offset for offset in (forward.last_offset, forward.end_offset))
    last, end = np.broadcast_to(last, value.shape), np.broadcast_to(np.minimum(end, rows - 1), value.shape)
    w = np.zeros(value.shape, np.float32)
    for a in range(assets):
        t = np.flatnonzero(labelled[:, a])
        w[t, a] = weights.average_uniqueness(first[t], last[t, a], rows + int(np.max(forward.last_offset)))
    made = Labels(np.where(labelled, y, -1).astype(np.int32), forward.ret.astype(np.float32), end.astype(np.int32), w)
    if not horizons:
        return made
    further = [make(bars, dataclasses.replace(config, horizon=h), train) for h in horizons]
    return dataclasses.replace(
        made,
        end=np.maximum.reduce([made.end, *(f.end for f in further)]),
        horizon_y=np.stack([f.y for f in further], -1),
        horizon_w=np.stack([f.w for f in further], -1),
    )


def _flat(forward: horizon.Forward, known: np.ndarray, share: float, train: Array | None):
    """Return the rows of the class "flat" and the rows that have a class, `[N, A]` bool each."""
    if forward.flat is not None:
        return forward.flat, known
    if train is None or not train.any():
        raise ConfigError("label.classes = 3 sets the threshold of 'flat' on the training rows, but there are none")
    size = np.abs(forward.value)
    columns = zip(size.T, (known & train[:, None]).T, strict=True)
    threshold = np.array([np.quantile(v[r], share) if r.any() else np.nan for v, r in columns])
    return size <= threshold, known & np.isfinite(threshold)
