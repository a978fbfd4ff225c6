"""The config of a comparison and the cells that it makes."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import common
from configs import comparison as file
from fxtrade.comparison import grid
from fxtrade.core.errors import ConfigError
from fxtrade.models import MODELS
from fxtrade.pipeline import training

ASSETS = {"sim": 4, "random": 4, "bars": 4, "flow": 4, "next_close": 4, "hourly": 8, "volatility": 8}
TINY = {
    "models": ("wavenet", "tcn"),
    "recipes": ("plain", "focal", "tuned"),
    "markets": ("hourly", "sim"),
    "data": "folder",
    "market_changes": {"hourly": {"data": {"path": "bars_1h"}}},
    "runs": {model: {m: common.market(m, model, {}).to_dict() for m in common.MARKETS} for model in MODELS},
    "recipe_changes": {
        "focal": {"loss": {"name": "focal"}},
        "tuned": ({"share": 0.75}, {"share": 0.25, "loss": {"name": "sharpe"}}),
    },
}


def cells(changes: dict | None = None) -> list[grid.Cell]:
    config = grid.freeze(TINY | (changes or {}))
    return grid.cells(config, {m: ASSETS[m] for m in config.markets})


class TestCells:
    def test_every_model_in_every_way_on_every_market_the_plain_ones_first(self):
        names = [(c.model, c.recipe, c.market) for c in cells()]
        assert names[:4] == [(m, "plain", k) for m in ("wavenet", "tcn") for k in ("hourly", "sim")]
        others = [(m, r, k) for m in ("wavenet", "tcn") for r in ("focal", "tuned") for k in ("hourly", "sim")]
        assert names[4:] == others

    def test_plain_comes_first_wherever_it_stands(self):
        assert [c.recipe for c in cells({"recipes": ("focal", "plain")})[:4]] == ["plain"] * 4

    def test_what_the_config_of_a_cell_is_made_of(self):
        by_name = {c.name: c for c in cells({"seed": 5, "seeds": 2, "changes": {"optim": {"sam_rho": 0.1}}})}
        (plain,), (focal,) = by_name["sim wavenet plain"].stages, by_name["sim wavenet focal"].stages
        assert plain.model.name == "wavenet" and plain.data.synth["bars"] == 180_000
        assert (plain.seed, plain.train.ensemble.size, plain.train.patience, plain.optim.sam_rho) == (5, 2, None, 0.1)
        assert plain.features == common.market("sim", "wavenet", {}).features.to_dict()
        assert dataclasses.replace(focal, loss=plain.loss, name=plain.name) == plain
        (hourly,) = by_name["hourly tcn plain"].stages
        assert hourly.data.path == "folder/bars_1h" and plain.data.path is None

    def test_stages_share_the_budget(self):
        first, second = next(c for c in cells() if c.name == "sim wavenet tuned").stages
        (whole,) = next(c for c in cells() if c.name == "sim wavenet plain").stages
        assert first.train.steps + second.train.steps == pytest.approx(whole.train.steps, abs=20)
        assert first.train.steps == pytest.approx(3 * second.train.steps, abs=30)
        assert (first.loss.name, second.loss.name) == ("cross_entropy", "sharpe")
        equal = cells({"recipe_changes": {"tuned": ({}, {}), "focal": {}}})
        steps = [s.train.steps for s in next(c for c in equal if c.recipe == "tuned").stages]
        assert steps[0] == steps[1] > 1

    def test_a_market_may_have_its_own_budget(self):
        made = cells({"recipes": ("plain",), "budget": 1_000_000, "market_budgets": {"hourly": 400_000}})
        row = {c.name: c.stages[0].train for c in made}
        assert grid.budget(grid.freeze(TINY | {"budget": 10, "market_budgets": {"sim": 100}}), "sim") == 10
        bars = {name: t.steps * t.batch * t.segment_length * ASSETS[name.split()[0]] for name, t in row.items()}
        assert bars["sim tcn plain"] == pytest.approx(1_000_000, rel=0.1)
        assert bars["hourly tcn plain"] == pytest.approx(400_000, rel=0.1)

    def test_pre_training_takes_its_half_of_the_budget(self):
        changed = {"recipe_changes": {"focal": {"pretrain": {"name": "simclr"}}, "tuned": {}}}
        made = {c.name: c.stages[0] for c in cells(changed)}
        plain, own = made["sim tcn plain"], made["sim tcn focal"]
        assert own.train.steps + own.pretrain.steps == pytest.approx(plain.train.steps, abs=20)
        assert own.train.steps == own.pretrain.steps

    def test_a_market_has_the_labels_that_any_recipe_asks_for(self):
        asked = {"focal": {"auxiliary": {"horizons": (4, 16)}}, "tuned": {}}
        config = grid.freeze(TINY | {"recipe_changes": asked})
        assert grid.market_config(config, "sim").auxiliary.horizons == (4, 16)
        assert grid.market_config(grid.freeze(TINY), "sim").auxiliary.horizons is None
        both = grid.freeze(TINY | {"recipe_changes": asked | {"tuned": {"auxiliary": {"horizons": (8,)}}}})
        with pytest.raises(ConfigError, match=r"different auxiliary.horizons, \[\(4, 16\), \(8,\)\]"):
            grid.market_config(both, "sim")

    @given(st.integers(1, 10**7), st.integers(1, 30), st.sampled_from([1, 4, 8]))
    def test_the_budget_is_met_to_a_step_between_evaluations(self, budget, evaluations, batch):
        own = {"budget": budget, "evaluations": evaluations, "changes": {"train": {"batch": batch}}}
        for cell in cells(own | {"recipes": ("plain",)}):
            (c,) = cell.stages
            row = c.train.batch * c.train.segment_length * ASSETS[cell.market]
            assert c.train.steps % c.train.eval_every == 0 and c.train.steps_per_call == c.train.eval_every
            assert c.train.steps * row <= max(budget + row / 2, row)
            assert c.train.steps * row > budget - row * (c.train.eval_every + 1)
            assert c.train.steps // c.train.eval_every >= min(evaluations, c.train.steps)
            assert c.optim.warmup <= 0.1 * c.train.steps + c.train.eval_every


BAD = {
    "unknown key": ({"budgets": 1}, "config has no key 'budgets'; did you mean 'budget'?"),
    "wrong type": ({"budget": "many"}, "config.budget must be int, got 'many'"),
    "no budget": ({"budget": 0}, "config.budget must be at least 1, got 0"),
    "unknown market's budget": ({"market_budgets": {"hour": 1}}, "config.market_budgets: there is no 'hour'; did you"),
    "no market's budget": ({"market_budgets": {"sim": 0}}, "config.market_budgets.sim must be at least 1, got 0"),
    "no seeds": ({"seeds": 0}, "config.seeds must be at least 1, got 0"),
    "negative seed": ({"seed": -1}, "config.seed must be at least 0, got -1"),
    "unknown market": ({"markets": ("hour",)}, "config.markets: there is no 'hour'; did you mean 'hourly'?"),
    "unknown model": ({"models": ("wavnet",)}, "config.models: there is no 'wavnet'; did you mean 'wavenet'?"),
    "unknown recipe": ({"recipes": ("focl",)}, "config.recipes: there is no 'focl'; did you mean 'focal'?"),
    "twice the same": ({"models": ("tcn", "tcn")}, "config.models must be distinct, got ('tcn', 'tcn')"),
    "nothing": ({"recipes": ()}, "config.recipes must be a list with at least one item, got ()"),
    "changes of no market": (
        {"market_changes": {"hour": {}}},
        "config.market_changes: there is no 'hour'; did you mean 'hourly'?",
    ),
    "unknown key of a run": (
        {"recipe_changes": {"focal": {"loss": {"nam": "focal"}}, "tuned": {}}},
        "recipe 'focal' of wavenet on hourly: config.loss has no key 'nam'; did you mean 'name'?",
    ),
    "impossible value of a run": (
        {"changes": {"train": {"batch": 0}}},
        "config.train.batch must be at least 1, got 0",
    ),
    "shares": (
        {"recipe_changes": {"focal": {}, "tuned": ({"share": 0.9}, {"share": 0.2})}},
        "recipe 'tuned' of wavenet on hourly: the shares of its stages must be positive and not more than 1 together",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes(case):
    changes, message = BAD[case]
    with pytest.raises(ConfigError) as e:
        cells(changes)
    assert message in str(e.value) and "\n" not in str(e.value)


class TestFile:
    @pytest.mark.parametrize("variant", ["", "small", *file.MARKETS, "small,sim"])
    def test_every_variant_makes_cells_that_can_be_trained(self, variant):
        config = grid.freeze(file.get_config(variant))
        made = grid.cells(config, {m: ASSETS[m] for m in config.markets})
        for market in config.markets:
            grid.market_config(config, market)
        assert len(made) == len(config.markets) * len(MODELS) * len(config.recipes)
        assert {c.model for c in made} == set(MODELS) and config.recipes[0] == "plain"
        for cell in made:
            for stage in cell.stages:
                training.check(stage)

    def test_a_recipe_changes_something_and_each_something_else(self):
        made = grid.cells(grid.freeze(file.get_config("sim")), ASSETS)
        ways = {tuple(dataclasses.replace(s, name="") for s in c.stages).__repr__() for c in made if c.model == "tcn"}
        assert len(ways) == len(file.RECIPES)

    def test_small_is_smaller(self):
        whole, small = (grid.freeze(file.get_config(v)) for v in ("", "small"))
        assert small.budget < whole.budget / 5 and small.markets == whole.markets == ("hourly", "flow")

    def test_an_unknown_variant(self):
        with pytest.raises(ConfigError, match="there is no variant 'hour'; did you mean 'hourly'"):
            file.get_config("small,hour")

    def test_where_the_data_are(self, monkeypatch):
        monkeypatch.setenv("FXTRADE_DATA", "elsewhere")
        config = grid.freeze(file.get_config("hourly"))
        assert grid.market_config(config, "hourly").data.path == "elsewhere/bars_1h"
