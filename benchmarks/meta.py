"""One step of MAML through every architecture: second order by forward over reverse, and by plain reverse mode.

    python benchmarks/meta.py

Two tasks of one support and one query segment each, 256 labelled bars x 4 assets with 22 features, three steps of
adaptation, the default networks or those of `--models`.

* fomaml: the first order, which both others also compute.
* maml: `train.meta`, products with the Hessian by `jvp` of the gradient.
* reverse: `jax.grad` through the steps of gradient descent, reverse over reverse.

The gradients of the latter two must agree to a thousandth of their size.
"""

from __future__ import annotations

import time

import measure
import numpy as np

TASKS, SEGMENT, ASSETS, FEATURES = 2, 256, 4, 22


def fxtrade(args) -> dict:
    import jax
    import jax.numpy as jnp

    from fxtrade import models
    from fxtrade.core import compat
    from fxtrade.core.config import MetaConfig
    from fxtrade.core.types import Segment
    from fxtrade.losses.classify import cross_entropy
    from fxtrade.train import meta
    from fxtrade.train.hooks import Keys

    compat.compile_small_loops()

    def reverse(objective, descent, params, query, keys):
        return jax.value_and_grad(lambda p: objective(meta.descend(descent, p)[0], query, keys), has_aux=True)(params)

    meta.TASK_GRADIENTS["reverse"] = reverse
    keys, answer, meter = Keys(*jax.random.split(jax.random.PRNGKey(0))), {}, measure.Meter(args)
    for name in args.models:
        model, rng, found = models.build(name, {}), np.random.default_rng(0), {}
        params = models.init(model, jax.random.PRNGKey(0), ASSETS, FEATURES)
        rows = (2 * TASKS, model.receptive_field - 1 + (64 if args.quick else SEGMENT), ASSETS)
        x, y = rng.standard_normal((*rows, FEATURES), np.float32), rng.integers(0, 2, rows, np.int32)
        batch = Segment(*map(jnp.asarray, (x, y, x[..., 0], np.ones(rows, np.float32))))

        def objective(p, segment, keys, model=model):
            return cross_entropy(model.apply({"params": p}, segment.x), segment), jnp.float32(0)

        for rule in ("fomaml", "maml", "reverse"):
            gradient = meta.make_gradient(MetaConfig(rule, steps=3, learning_rate=0.01))
            began = time.perf_counter()
            program = jax.jit(lambda p, b, g=gradient: g(objective, p, b, keys)).lower(params, batch).compile()  # noqa: B023
            answer[f"{name} {rule} compile"] = time.perf_counter() - began
            found[rule] = program(params, batch)[1]
            seconds = meter.seconds(lambda run=program: jax.block_until_ready(run(params, batch)), 3)  # noqa: B023
            answer[f"{name} {rule}"] = 1e3 * seconds
        for ours, theirs in zip(*(jax.tree.leaves(found[rule]) for rule in ("maml", "reverse")), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3 * float(jnp.abs(theirs).max()))
    return answer | {"others": meter.others}


def conclude(args, answers) -> None:
    rounds, table = answers["fxtrade"], []
    for name in args.models:
        of = {rule: [r[f"{name} {rule}"] for r in rounds] for rule in ("fomaml", "maml", "reverse")}
        compiled = (measure.spread(r[f"{name} {rule} compile"] for r in rounds) for rule in ("maml", "reverse"))
        ratio = measure.spread(b / a for a, b in zip(of["maml"], of["reverse"], strict=True))
        table.append((name, *map(measure.spread, of.values()), ratio, *compiled))
    header = ("ms a step", "fomaml", "maml", "reverse", "reverse / maml", "compile maml, s", "compile reverse, s")
    print(measure.table(header, table))


if __name__ == "__main__":
    arguments = measure.arguments(__doc__, measure.MODELS)
    measure.main(arguments, {"fxtrade": fxtrade}, conclude)
