import jax, numpy as np, pytest
from causality import *
from hypothesis import given, settings, strategies as st
from markets import bars, messy
from fxtrade import features
from tests.features.technical_columns import FAMILY
S=compiled(features.build({f:{} for f in FAMILY},40.0)); names=features.names({f:{} for f in FAMILY},bars(3))
def test_std():
    out=whole(S)(bars(650)); x=np.asarray(out.x)[np.asarray(out.ok).all(1)]; sd=x.std((0,1)); print({n:round(float(s),2) for n,s in zip(names,sd) if s<.5 or s>1.5}); assert sd.min()>.2 and np.abs(x.mean((0,1))).max()<1
@settings(max_examples=150)
@given(messy(650), st.integers(0,648))
def test_messy(recipe,t):
    m=recipe.bars(); out=whole(S)(m); x,ok=np.asarray(out.x),np.asarray(out.ok)
    assert np.isfinite(x).all() and (x[~ok]==0).all()
    future_is_unseen(whole(S),m,t)
    a=in_chunks(S,m,(1,324)); 
    np.testing.assert_array_equal(a.ok,ok)
    bad=np.argwhere(~np.isclose(a.x,x,rtol=1e-5,atol=2e-4))
    assert len(bad)==0, [(names[b[2]],tuple(b),a.x[tuple(b)],x[tuple(b)]) for b in bad[:10]]
