"""The kernels and the pipeline of `features.py`, in pandas, polars and numba.

Each function takes float64 columns and returns an array. numba compiles sequential loops, one column a thread.
"""

from __future__ import annotations

import numpy as np

WINDOW, HALFLIFE, BINS, LEVELS = 64, 64.0, 8, 6
PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
# db2 of PyWavelets over sqrt 2: scaling and wavelet filter of the MODWT
SCALING = np.array([0.34150635, 0.59150635, 0.15849365, -0.09150635])
WAVELET = np.array([-0.09150635, -0.15849365, 0.59150635, -0.34150635])


def waves(rows: int) -> list[np.ndarray]:
    """cos and -sin of the first bins at the absolute row, so that a windowed sum of their product with x is its DFT."""
    angle = 2 * np.pi / WINDOW * np.outer(np.arange(1, BINS + 1), np.arange(rows) % WINDOW)
    return [*np.cos(angle), *-np.sin(angle)]


def pandas_kernels(x: np.ndarray) -> dict:
    import pandas as pd

    df = pd.DataFrame(x)
    rolling, ewm = df.rolling(WINDOW), df.ewm(halflife=HALFLIFE)
    returns = np.log(df).diff()

    def fourier():
        return [returns.mul(w, axis=0).rolling(WINDOW).sum().to_numpy() for w in waves(len(x))]

    def modwt():
        smooth, details = np.log(df), []
        for level in range(LEVELS):
            shifted = [smooth.shift(j << level) for j in range(4)]
            details.append(sum(t * s for t, s in zip(WAVELET, shifted, strict=True)).to_numpy())
            smooth = sum(t * s for t, s in zip(SCALING, shifted, strict=True))
        return details

    return {
        "mean": lambda: rolling.mean().to_numpy(),
        "std": lambda: rolling.std(ddof=0).to_numpy(),
        "maximum": lambda: rolling.max().to_numpy(),
        "correlation": lambda: np.stack([df[i].rolling(WINDOW).corr(df[j]).to_numpy() for i, j in PAIRS], 1),
        "rank": lambda: (rolling.rank().to_numpy() - 0.5) / WINDOW,
        "median": lambda: rolling.median().to_numpy(),
        "ew mean and std": lambda: np.stack([ewm.mean().to_numpy(), ewm.std(bias=True).to_numpy()]),
        "fourier": fourier,
        "modwt": modwt,
    }


def polars_kernels(x: np.ndarray) -> dict:
    import polars as pl

    df = pl.DataFrame(dict(zip("abcd", np.ascontiguousarray(x.T), strict=True)))
    every = pl.all()
    returns = df.select(every.log().diff())

    def of(*expressions):
        return df.select(*expressions).to_numpy()

    def fourier():
        out = []
        for wave in waves(len(x)):
            out.append(returns.select((every * pl.lit(pl.Series(wave))).rolling_sum(WINDOW)).to_numpy())
        return out

    def modwt():
        smooth, details = df.select(every.log()), []
        for level in range(LEVELS):

            def filtered(taps, level=level):
                first, *others = (every.shift(j << level) * float(t) for j, t in enumerate(taps))
                return sum(others, first)

            details.append(smooth.select(filtered(WAVELET)).to_numpy())
            smooth = smooth.select(filtered(SCALING))
        return details

    names = "abcd"
    return {
        "mean": lambda: of(every.rolling_mean(WINDOW)),
        "std": lambda: of(every.rolling_std(WINDOW, ddof=0)),
        "maximum": lambda: of(every.rolling_max(WINDOW)),
        "correlation": lambda: of(
            *(pl.rolling_corr(names[i], names[j], window_size=WINDOW).alias(f"{i}{j}") for i, j in PAIRS)
        ),
        "rank": lambda: (of(every.rolling_rank(WINDOW)) - 0.5) / WINDOW,
        "median": lambda: of(every.rolling_median(WINDOW)),
        "ew mean and std": lambda: np.stack(
            [of(every.ewm_mean(half_life=HALFLIFE)), of(every.ewm_std(half_life=HALFLIFE, bias=True))]
        ),
        "fourier": fourier,
        "modwt": modwt,
    }


def numba_kernels(x: np.ndarray) -> dict:
    from numba import njit, prange

    columns = np.ascontiguousarray(x.T)
    parallel = njit(parallel=True, fastmath=False)

    @parallel
    def moments(x, std):
        """Sums of differences to the first value of all, in float64; a window with a missing value is missing."""
        out = np.full(x.shape, np.nan)
        for a in prange(x.shape[0]):
            s = q = 0.0
            missing = 0
            first = x[a, 0]
            for t in range(x.shape[1]):
                new = x[a, t]
                if np.isnan(new):
                    missing += 1
                else:
                    s += new - first
                    q += (new - first) ** 2
                if t >= WINDOW:
                    old = x[a, t - WINDOW]
                    if np.isnan(old):
                        missing -= 1
                    else:
                        s -= old - first
                        q -= (old - first) ** 2
                if t >= WINDOW - 1 and missing == 0:
                    m = s / WINDOW
                    out[a, t] = np.sqrt(max(q / WINDOW - m * m, 0.0)) if std else first + m
        return out

    @parallel
    def maximum(x):
        out = np.full(x.shape, np.nan)
        for a in prange(x.shape[0]):
            queue = np.empty(WINDOW + 1, np.int64)
            head = size = 0
            for t in range(x.shape[1]):
                while size and x[a, queue[(head + size - 1) % (WINDOW + 1)]] <= x[a, t]:
                    size -= 1
                queue[(head + size) % (WINDOW + 1)] = t
                size += 1
                if queue[head] <= t - WINDOW:
                    head = (head + 1) % (WINDOW + 1)
                    size -= 1
                if t >= WINDOW - 1:
                    out[a, t] = x[a, queue[head]]
        return out

    @parallel
    def correlation(x, pairs):
        out = np.full((len(pairs), x.shape[1]), np.nan)
        for p in prange(len(pairs)):
            u, v = x[pairs[p, 0]], x[pairs[p, 1]]
            su = sv = uu = vv = uv = 0.0
            for t in range(x.shape[1]):
                a, b = u[t] - u[0], v[t] - v[0]
                su, sv, uu, vv, uv = su + a, sv + b, uu + a * a, vv + b * b, uv + a * b
                if t >= WINDOW:
                    a, b = u[t - WINDOW] - u[0], v[t - WINDOW] - v[0]
                    su, sv, uu, vv, uv = su - a, sv - b, uu - a * a, vv - b * b, uv - a * b
                if t >= WINDOW - 1:
                    spread = (uu - su * su / WINDOW) * (vv - sv * sv / WINDOW)
                    out[p, t] = (uv - su * sv / WINDOW) / np.sqrt(spread) if spread > 0 else 0.0
        return out

    @parallel
    def rank(x):
        out = np.full(x.shape, np.nan)
        for a in prange(x.shape[0]):
            for t in range(WINDOW - 1, x.shape[1]):
                below = 0.0
                for j in range(t - WINDOW + 1, t + 1):
                    below += (x[a, j] < x[a, t]) + 0.5 * (x[a, j] == x[a, t])
                out[a, t] = below / WINDOW
        return out

    @parallel
    def median(x):
        """A sorted window, with insertion and deletion."""
        out = np.full(x.shape, np.nan)
        for a in prange(x.shape[0]):
            window = np.sort(x[a, :WINDOW].copy())
            for t in range(WINDOW - 1, x.shape[1]):
                if t >= WINDOW:
                    i = np.searchsorted(window, x[a, t - WINDOW])
                    new = x[a, t]
                    while i + 1 < WINDOW and window[i + 1] < new:
                        window[i] = window[i + 1]
                        i += 1
                    while i > 0 and window[i - 1] > new:
                        window[i] = window[i - 1]
                        i -= 1
                    window[i] = new
                out[a, t] = 0.5 * (window[WINDOW // 2 - 1] + window[WINDOW // 2])
        return out

    @parallel
    def ew(x, decay):
        out = np.empty((2, *x.shape))
        for a in prange(x.shape[0]):
            weight = mean = var = 0.0
            for t in range(x.shape[1]):
                if not np.isnan(x[a, t]):
                    weight += (1 - decay) * (1 - weight)
                    gain = (1 - decay) / weight
                    diff = x[a, t] - mean
                    mean += gain * diff
                    var += gain * ((1 - gain) * diff * diff - var)
                out[0, a, t], out[1, a, t] = mean, np.sqrt(var)
        return out

    @parallel
    def fourier(x, cos, sin):
        """Sliding DFT of log returns, by recursion."""
        bins = cos.shape[0]
        out = np.full((2 * bins, *x.shape), np.nan)
        for a in prange(x.shape[0]):
            re, im = np.zeros(bins), np.zeros(bins)
            r = np.zeros(x.shape[1])
            for t in range(1, x.shape[1]):
                r[t] = np.log(x[a, t] / x[a, t - 1])
                new = r[t] - (r[t - WINDOW] if t >= WINDOW else 0.0)
                i = t % WINDOW
                for b in range(bins):
                    re[b] += new * cos[b, i]
                    im[b] += new * sin[b, i]
                if t >= WINDOW:
                    for b in range(bins):
                        out[b, a, t], out[bins + b, a, t] = re[b], im[b]
        return out

    @parallel
    def modwt(x, scaling, wavelet):
        out = np.full((LEVELS, *x.shape), np.nan)
        for a in prange(x.shape[0]):
            smooth = np.log(x[a])
            for level in range(LEVELS):
                after = np.full(x.shape[1], np.nan)
                gap = 1 << level
                for t in range(3 * gap, x.shape[1]):
                    p, q, r, s = smooth[t], smooth[t - gap], smooth[t - 2 * gap], smooth[t - 3 * gap]
                    out[level, a, t] = wavelet[0] * p + wavelet[1] * q + wavelet[2] * r + wavelet[3] * s
                    after[t] = scaling[0] * p + scaling[1] * q + scaling[2] * r + scaling[3] * s
                smooth = after
        return out

    table = np.array(waves(WINDOW))
    cos, sin = np.ascontiguousarray(table[:BINS]), np.ascontiguousarray(table[BINS:])
    return {
        "mean": lambda: moments(columns, False).T,
        "std": lambda: moments(columns, True).T,
        "maximum": lambda: maximum(columns).T,
        "correlation": lambda: correlation(columns, np.array(PAIRS)).T,
        "rank": lambda: rank(columns).T,
        "median": lambda: median(columns).T,
        "ew mean and std": lambda: ew(columns, 0.5 ** (1 / HALFLIFE)).transpose(0, 2, 1),
        "fourier": lambda: fourier(columns, cos, sin).transpose(0, 2, 1),
        "modwt": lambda: modwt(columns, SCALING, WAVELET).transpose(0, 2, 1),
    }


def pandas_pipeline(bars: dict) -> list:
    """The columns of BARS in configs/common.py, a list of arrays for each symbol."""
    import pandas as pd

    out = []
    for a in range(bars["close"].shape[1]):
        o = pd.DataFrame({c: bars[c][:, a].astype(np.float64) for c in ("high", "low", "close", "volume")})
        logs = np.log(o.close)
        columns = [logs.diff(h) / h**0.5 for h in (1, 2, 4, 8, 16, 32)]
        squares = logs.diff() ** 2
        columns += [0.5 * np.log(np.maximum(squares.rolling(w).mean(), 1e-14)) for w in (8, 32, 128)]
        spread = o.high - o.low
        columns.append(((2 * o.close - o.high - o.low) / spread.where(spread > 0, np.inf)).clip(-1, 1))
        relative = spread / o.close
        columns.append(np.log((relative + 1e-7) / (relative.rolling(32).mean() + 1e-7)))
        volume = np.log1p(o.volume / o.volume.ewm(halflife=500).mean())
        for w in (32, 256):
            rolling = volume.rolling(w)
            columns.append((volume - rolling.mean()) / rolling.std(ddof=0))
        for period in (86_400, 604_800):
            angle = 2 * np.pi / period * (bars["second_of_week"] % period)
            columns += [np.sin(angle), np.cos(angle)]
        out.append(np.stack([np.asarray(c, np.float32) for c in columns], 1))
    return out


def polars_pipeline(bars: dict) -> list:
    import polars as pl

    out = []
    for a in range(bars["close"].shape[1]):
        frame = {c: bars[c][:, a].astype(np.float64) for c in ("high", "low", "close", "volume")}
        o = pl.DataFrame(frame | {"second": bars["second_of_week"]}).lazy()
        close, high, low, volume, second = (pl.col(c) for c in ("close", "high", "low", "volume", "second"))
        logs, spread = close.log(), high - low
        columns = [logs.diff(h) / h**0.5 for h in (1, 2, 4, 8, 16, 32)]
        squares = logs.diff() ** 2
        columns += [0.5 * squares.rolling_mean(w).clip(1e-14).log() for w in (8, 32, 128)]
        columns.append(pl.when(spread > 0).then((2 * close - high - low) / spread).otherwise(0).clip(-1, 1))
        relative = spread / close
        columns.append(((relative + 1e-7) / (relative.rolling_mean(32) + 1e-7)).log())
        traded = (volume / volume.ewm_mean(half_life=500)).log1p()
        for w in (32, 256):
            columns.append((traded - traded.rolling_mean(w)) / traded.rolling_std(w, ddof=0))
        for period in (86_400, 604_800):
            angle = 2 * np.pi / period * (second % period)
            columns += [angle.sin(), angle.cos()]
        named = [c.cast(pl.Float32).alias(str(i)) for i, c in enumerate(columns)]
        out.append(o.select(named).collect().to_numpy())
    return out
