"""The data of plotly's figures as a browser reads them."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np


def numbers(column: Any) -> np.ndarray:
    """Decode a column of a trace: a list, or bytes with their type."""
    if isinstance(column, dict):
        return np.frombuffer(base64.b64decode(column["bdata"]), np.dtype(column["dtype"]))
    return np.array([np.nan if x is None else x for x in column], float)


def times(column: list[str]) -> np.ndarray:
    """Decode times to int64 ns."""
    return np.array(column, "M8[ns]").astype(np.int64)


def traces(figure: Any) -> list[dict]:
    return json.loads(figure.to_json())["data"]
