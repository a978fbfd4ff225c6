from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.errors import DataError
from fxtrade.core.types import Features, Labels
from fxtrade.train.segments import Plan, batch_starts, device_series, gather, loss_weight, plan
from tests.helpers.toys import series


@st.composite
def weights(draw):
    """Weights `[N, A]` with holes of any size, a segment length and a receptive field."""
    length, reach = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    n = draw(st.integers(length + reach, 80))
    w = np.ones((n, draw(st.integers(1, 2))), np.float32)
    for start, size in draw(st.lists(st.tuples(st.integers(0, n), st.integers(1, n)), max_size=3)):
        w[start : start + size] = 0
    return w, length, reach


def covered(p: Plan) -> np.ndarray:
    """How many segments each row is a labelled row of."""
    count = np.zeros(p.rows, int)
    for s in p.starts:
        count[s : s + p.length] += 1
    return count


class TestPlan:
    @given(weights())
    def test_every_row_with_weight_is_covered_and_segments_stay_inside(self, case):
        w, length, reach = case
        reachable = w.any(1) & (np.arange(len(w)) >= reach - 1)
        if not reachable.any():
            with pytest.raises(DataError):
                plan(w, length, reach)
            return
        p = plan(w, length, reach)
        assert (covered(p)[reachable] >= 1).all()
        assert p.starts.min() >= reach - 1 and p.starts.max() + length <= len(w)
        assert p.warmup == reach - 1 and p.labels == len(p.starts) * length
        # only the last segment may overlap the one before it, to end with the series
        assert (np.diff(p.starts)[:-1] >= length).all()
        if len(p.starts) > 1 and p.starts[-1] - p.starts[-2] < length:
            assert p.starts[-1] + length == len(w)

    @given(weights())
    def test_no_segment_is_without_weight(self, case):
        w, length, reach = case
        try:
            p = plan(w, length, reach)
        except DataError:
            return
        assert all(w[s : s + length].any() for s in p.starts)

    def test_a_series_shorter_than_the_receptive_field(self):
        with pytest.raises(
            DataError, match=r"too few bars \(30\): a training segment takes 8 bars \(train.segment_length\)"
        ):
            plan(np.ones((30, 1)), 8, 24)
        assert len(plan(np.ones((31, 1)), 8, 24).starts) == 1

    def test_nothing_has_weight(self):
        with pytest.raises(DataError, match="no validation row has both a label and defined features"):
            plan(np.zeros((30, 1)), 8, 4, "validation")

    def test_all_weight_lies_in_the_warm_up(self):
        w = np.zeros((30, 1))
        w[:10] = 1
        with pytest.raises(DataError, match="no training row lies after the warm-up of 15 bars"):
            plan(w, 8, 16)


class TestBatches:
    @given(segments=st.integers(1, 20), batch=st.integers(1, 8), length=st.integers(1, 9), seed=st.integers(0, 9))
    def test_an_epoch_covers_each_segment_once(self, segments, batch, length, seed):
        """Up to those that do not fill a batch; all shifted by the same offset of at most half a segment."""
        gap = 2 * length  # room for the shift, so that nothing is cut at the ends
        starts = (3 + gap + length * np.arange(segments)).astype(np.int32)
        p = Plan(starts, length, 3, int(starts[-1]) + length + gap)
        steps = max(segments // batch, 1)
        for epoch in range(2):
            drawn = [
                np.asarray(batch_starts(p, jax.random.PRNGKey(seed), jnp.int32(epoch * steps + k), batch))
                for k in range(steps)
            ]
            drawn = np.concatenate(drawn)
            assert len(drawn) == steps * batch
            if segments < batch:  # one batch holds all, some of them again
                drawn = np.unique(drawn)
                assert len(drawn) == segments
            assert len(np.unique(drawn)) == len(drawn)
            shift = {int(d) % length for d in drawn - starts[0]}
            assert len(shift) == 1
            offsets = [o for o in range(-(length // 2), length // 2 + 1) if set(drawn - o) <= set(starts.tolist())]
            assert offsets

    def test_a_pure_function_of_seed_and_step(self):
        p = plan(np.ones((200, 1)), 8, 4)
        draw = jax.jit(lambda seed, step: batch_starts(p, seed, step, 4))
        key = jax.random.PRNGKey(3)
        for step in range(20):
            once, again = draw(key, jnp.int32(step)), batch_starts(p, jax.random.PRNGKey(3), jnp.int32(step), 4)
            np.testing.assert_array_equal(once, again)
        other = [np.asarray(draw(jax.random.PRNGKey(4), jnp.int32(s))) for s in range(6)]
        assert any((o != np.asarray(draw(key, jnp.int32(s)))).any() for s, o in enumerate(other))

    def test_epochs_differ_in_order_and_in_shift(self):
        p = plan(np.ones((400, 1)), 16, 4)
        steps = len(p.starts) // 4
        epochs = [
            np.concatenate([batch_starts(p, jax.random.PRNGKey(0), jnp.int32(e * steps + k), 4) for k in range(steps)])
            for e in range(6)
        ]
        assert len({tuple(e) for e in epochs}) == 6
        assert len({int(e[0] - p.starts[0]) % 16 for e in epochs}) > 1

    @given(weights(), st.integers(0, 50))
    def test_shifted_segments_stay_inside(self, case, step):
        w, length, reach = case
        try:
            p = plan(w, length, reach)
        except DataError:
            return
        starts = np.asarray(batch_starts(p, jax.random.PRNGKey(0), jnp.int32(step), 3))
        assert starts.min() >= p.warmup and starts.max() + length <= len(w)


def test_gather_cuts_out_rows_and_silences_the_warm_up():
    whole = series(n=60)
    p = plan(np.asarray(whole.w), 10, 5)
    starts = np.array([4, 20, 50])
    segment = gather(whole, jnp.asarray(starts), p)
    assert segment.x.shape == (3, 14, 2, 3)
    for b, s in enumerate(starts):
        for name in ("x", "y", "ret"):
            np.testing.assert_array_equal(getattr(segment, name)[b], getattr(whole, name)[s - 4 : s + 10])
        np.testing.assert_array_equal(segment.w[b, 4:], whole.w[s : s + 10])
        np.testing.assert_array_equal(segment.w[b, :4], 0)


def test_weight_is_where_labels_features_and_span_are():
    rng = np.random.default_rng(0)
    ok, w = rng.random((50, 2)) < 0.7, rng.uniform(0, 1, (50, 2)).astype(np.float32)
    ret = np.where(rng.random((50, 2)) < 0.1, np.nan, 1).astype(np.float32)
    features = Features(rng.normal(size=(50, 2, 3)).astype(np.float32), ok)
    labels = Labels(np.zeros((50, 2), np.int32), ret, np.zeros((50, 2), np.int32), w)
    rows = rng.random(50) < 0.5
    expected = w * ok * rows[:, None]
    np.testing.assert_array_equal(loss_weight(features, labels, rows), expected)
    made = device_series(features, labels, rows)
    np.testing.assert_array_equal(made.w, expected)
    assert made.w.dtype == made.x.dtype == made.ret.dtype == jnp.float32 and made.y.dtype == jnp.int32
    assert np.isfinite(made.ret).all()
