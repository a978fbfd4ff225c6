"""Wrong input is refused by the function itself or, where shapes are checked at run time, by its annotations."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest
from jaxtyping import TypeCheckError


@contextlib.contextmanager
def refused(error: type[Exception], message: str) -> Iterator[None]:
    """As `pytest.raises(error, match=message)`, but an error of an annotation will do too."""
    with pytest.raises((error, TypeCheckError)) as caught:
        yield
    assert isinstance(caught.value, TypeCheckError) or re.search(message, str(caught.value)), caught.value
