from __future__ import annotations

import threading

import pytest

from tests.helpers.archive_server import Archive


@pytest.fixture
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server(no_proxy):
    with Archive() as archive:
        thread = threading.Thread(target=archive.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield archive
        archive.released.set()
        archive.shutdown()
        thread.join()
