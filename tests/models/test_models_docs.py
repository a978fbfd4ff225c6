"""docs/models.md lists every network and every encoding."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

from fxtrade.core.config_dict import freeze
from fxtrade.models import ENCODINGS, MODELS
from fxtrade.pipeline.build import build_model

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()


def test_every_network_with_its_file_and_the_receptive_field_of_its_config():
    rows = re.findall(r"^\| `(\w+)` \| \[(\w+)\]\(\S+\) \| [^|]+ \| (\d+) \|", PAGE, re.M)
    expected = {}
    for name, network in MODELS.items():
        config = freeze(importlib.import_module(f"configs.{name}").get_config())
        expected[name] = (network.__module__.split(".")[-1], build_model(config).receptive_field)
    assert {name: (file, int(bars)) for name, file, bars in rows} == expected


def test_every_encoding_with_its_options_and_their_defaults():
    rows = re.findall(r"^\| `(\w+)` \| [^|[]+ \|([^|]*)\| [^|]+ \|$", PAGE, re.M)
    expected = {"none": []}
    for name, encoding in ENCODINGS.items():
        fields = [f for f in dataclasses.fields(encoding) if f.name not in ("parent", "name")]
        expected[name] = [f'{f.name}="{f.default}"' if f.type == "Edges" else f"{f.name}={f.default}" for f in fields]
    assert {name: re.findall(r"`([^`]+)`", options) for name, options in rows} == expected
