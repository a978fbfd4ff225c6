from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from fxtrade.core.errors import DataError
from fxtrade.data.download import download, is_complete
from tests.helpers.archive_server import Archive, dropped, replaced, stalled, status, truncated
from tests.helpers.kline_files import bars, csv, left_behind, never, zipped


@pytest.fixture
def target(server, tmp_path):
    path = server.put("a/x.zip", zipped(csv(bars("2024-01-05"))))
    return f"{server.url}/{path}", tmp_path / "a" / "x.zip"


@pytest.mark.parametrize(
    "fault",
    [truncated, status(500), status(503), status(429), dropped, replaced(b"other bytes")],
    ids=["truncated", "500", "503", "429", "dropped", "other bytes"],
)
def test_temporary_faults_are_retried_with_growing_pauses(server, target, fault):
    url, path = target
    server.faults["a/x.zip"] = [fault] * 3
    pauses = []
    assert download(url, path, sleep=pauses.append)
    assert path.read_bytes() == server.files["a/x.zip"] and is_complete(path)
    assert pauses == [1, 2, 4] and left_behind(path.parent) == []


@pytest.mark.parametrize(
    "fault",
    [truncated, status(500), dropped, replaced(b"other bytes")],
    ids=["truncated", "500", "dropped", "other bytes"],
)
def test_permanent_faults_name_the_url_and_leave_no_file(server, target, fault):
    url, path = target
    server.faults["a/x.zip"] = [fault] * 9
    pauses = []
    with pytest.raises(DataError, match=rf"^{url}: .*attempt 3 of 3"):
        download(url, path, attempts=3, sleep=pauses.append)
    assert pauses == [1, 2] and list(path.parent.iterdir()) == []


def test_truncation_and_wrong_checksum_are_reported(server, target):
    url, path = target
    size = len(server.files["a/x.zip"])
    server.faults["a/x.zip"] = [truncated]
    with pytest.raises(DataError, match=f"expected {size} bytes, got {size - 10}"):
        download(url, path, attempts=1)
    digest = hashlib.sha256(server.files["a/x.zip"]).hexdigest()
    server.files["a/x.zip.CHECKSUM"] = f"{'0' * 64}  x.zip".encode()
    with pytest.raises(DataError, match=f"{url}: .*expected {'0' * 64}, got {digest}"):
        download(url, path, attempts=1)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("text", [b"", b"<html>", b"0" * 64, b"abc  x.zip", b"%b  y.zip"])
def test_checksum_file_must_name_the_zip(server, target, text):
    url, path = target
    digest = hashlib.sha256(server.files["a/x.zip"]).hexdigest().encode()
    server.files["a/x.zip.CHECKSUM"] = text.replace(b"%b", digest)
    with pytest.raises(DataError, match="SHA-256 differs"):
        download(url, path, attempts=1)
    assert not path.exists()


def test_zip_without_checksum_is_not_trusted(server, target):
    url, path = target
    del server.files["a/x.zip.CHECKSUM"]
    with pytest.raises(DataError, match="cannot be verified"):
        download(url, path, attempts=2, sleep=lambda _: None)
    assert not path.exists()


def test_slow_body_is_retried(server, target):
    url, path = target
    server.faults["a/x.zip"] = [stalled()]
    pauses = []
    assert download(url, path, timeout=1.5, sleep=pauses.append)
    assert is_complete(path) and pauses == [1]


def test_slow_checksum_is_retried(server, target):
    url, path = target
    server.faults["a/x.zip.CHECKSUM"] = [status(500), stalled()]
    pauses = []
    assert download(url, path, timeout=1.5, sleep=pauses.append)
    assert is_complete(path) and pauses == [1, 2]


def test_missing_file_is_not_an_error_and_not_retried(server, tmp_path):
    assert not download(f"{server.url}/none.zip", tmp_path / "none.zip", sleep=never)
    assert server.requests == ["none.zip"] and list(tmp_path.iterdir()) == []


def test_forbidden_is_not_retried(server, target):
    url, path = target
    server.faults["a/x.zip"] = [status(403)]
    with pytest.raises(DataError, match=f"{url}: HTTP 403 Forbidden"):
        download(url, path, sleep=never)


def test_retry_after_is_respected(server, target):
    url, path = target
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    server.faults["a/x.zip"] = [
        status(429, Retry_After="17"),
        status(503, Retry_After=later),
        status(503, Retry_After="soon"),
        status(503, Retry_After="1"),
    ]
    pauses = []
    assert download(url, path, sleep=pauses.append)
    assert pauses[0] == 17 and 30 < pauses[1] <= 90 and pauses[2:] == [4, 8]


def test_long_retry_after_is_an_error(server, target):
    url, path = target
    server.faults["a/x.zip"] = [status(429, Retry_After="3600")]
    with pytest.raises(DataError, match="asks to wait 3600 s"):
        download(url, path, sleep=never)


@pytest.mark.usefixtures("no_proxy")
def test_unreachable_server_is_named(tmp_path):
    with Archive() as closed:
        url = f"{closed.url}/x.zip"
    with pytest.raises(DataError, match=rf"{url}: .*refused.*attempt 2 of 2"):
        download(url, tmp_path / "x.zip", attempts=2, sleep=lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_disk_errors_are_not_retried(target, monkeypatch):
    url, path = target

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        download(url, path, sleep=never)
    assert list(path.parent.iterdir()) == []
