"""A pytest plugin that checks shapes and types in signatures at run time: `pytest -p tests.helpers.runtime_types`.

It has to be imported before the packages that it checks. Dataclasses of arrays (`core.types`) are not checked, because
JAX rebuilds them with other things in the place of arrays.
"""

from jaxtyping import install_import_hook

CHECKED = (
    "fxtrade.core.windows", "fxtrade.core.rolling", "fxtrade.core.moments", "fxtrade.core.comoments",
    "fxtrade.core.linear", "fxtrade.core.order_statistics", "fxtrade.core.validity",
    "fxtrade.features", "fxtrade.labels", "fxtrade.losses", "fxtrade.models", "fxtrade.market", "fxtrade.risk",
    "fxtrade.backtest", "fxtrade.metrics",
)  # fmt: skip

# an int may stand for a float, as in the numeric tower of PEP 484
install_import_hook(CHECKED, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")
