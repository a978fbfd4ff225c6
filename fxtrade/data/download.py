"""Download a zip of Binance's public archive and verify its checksum: `download`, `is_complete`, `is_replaced`."""

from __future__ import annotations

import contextlib
import email.message
import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from fxtrade.core.errors import DataError
from fxtrade.core.files import atomic_path, write_atomic

MAX_WAIT = 300.0  # seconds; a server that asks for a longer pause is an error
RETRYABLE = (408, 425, 429, 500, 502, 503, 504)  # HTTP errors that another attempt may fix
UNREACHABLE = (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException)


def download(
    url: str,
    path: Path,
    timeout: float = 30.0,
    attempts: int = 5,
    sleep: Callable[[float], object] = time.sleep,
    on_bytes: Callable[[int], object] = lambda n: None,
) -> bool:
    """Download the zip at `url` and its checksum file to `path` and verify it; return False if there is none (404).

    Lost connections, time-outs, errors of an overloaded server, short bodies and wrong checksums are retried after
    1, 2, 4... seconds, or later if the server says so (Retry-After). `path` appears complete or not at all.

    Args:
        timeout: seconds without a byte after which an attempt fails.
        on_bytes: called with the number of bytes of each chunk received.

    Raises:
        DataError: the last attempt failed, or the error cannot be fixed by another attempt; names the URL.
    """
    return _with_retries(url, lambda: _transfer(url, path, timeout, on_bytes), attempts, sleep)


def is_replaced(
    url: str, path: Path, timeout: float = 30.0, attempts: int = 5, sleep: Callable[[float], object] = time.sleep
) -> bool:
    """Whether the archive now has another zip at `url` than the one in `path`, by its checksum file.

    False if the archive no longer has it. Raises DataError as `download` does.
    """

    def differs() -> bool:
        with urllib.request.urlopen(f"{url}.CHECKSUM", timeout=timeout) as response:
            digest = _parse_checksum(response.read(1 << 10), path.name)
        if digest is None:
            raise DataError("its .CHECKSUM file does not list it")
        return digest != _parse_checksum(_checksum_path(path).read_bytes(), path.name)

    return _with_retries(url, differs, attempts, sleep)


def _with_retries(url: str, attempt_once: Callable[[], bool], attempts: int, sleep: Callable[[float], object]) -> bool:
    """Return what `attempt_once` returns, after pauses if it fails; False where the archive has no such file."""
    attempt = 0
    while True:
        attempt += 1
        pause, final = 2.0 ** (attempt - 1), attempt >= attempts
        try:
            return attempt_once()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return False
            problem, pause = f"HTTP {error.code} {error.reason}", max(pause, _retry_after(error.headers))
            final |= error.code not in RETRYABLE
            if pause > MAX_WAIT:
                problem, final = f"{problem}, asks to wait {pause:.0f} s", True
        except (DataError, *UNREACHABLE) as error:
            problem = str(error) or type(error).__name__
        if final:
            raise DataError(
                f"{url}: {problem} (attempt {attempt} of {attempts}); check the network and the base URL, "
                "or leave that period out"
            )
        sleep(pause)


def is_complete(path: Path) -> bool:
    """Whether `path` exists and has the SHA-256 of the checksum file beside it."""
    checksum = _checksum_path(path)
    if not path.exists() or not checksum.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == _parse_checksum(checksum.read_bytes(), path.name)


def _transfer(url: str, path: Path, timeout: float, on_bytes: Callable[[int], object]) -> bool:
    """Make one attempt of `download`; raises HTTPError, one of UNREACHABLE or DataError if it fails."""
    digest, size = hashlib.sha256(), 0
    with atomic_path(path) as part:
        with urllib.request.urlopen(url, timeout=timeout) as response, part.open("wb") as file:
            length = response.headers["Content-Length"]
            while chunk := response.read(1 << 16):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                on_bytes(len(chunk))
        if length is not None and size != int(length):
            raise DataError(f"truncated, expected {length} bytes, got {size}")
        try:
            with urllib.request.urlopen(f"{url}.CHECKSUM", timeout=timeout) as response:
                text = response.read(1 << 10)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                error.close()
                raise DataError("cannot be verified, its .CHECKSUM file does not exist") from error
            raise
        expected = _parse_checksum(text, path.name)
        if digest.hexdigest() != expected:
            raise DataError(f"SHA-256 differs, expected {expected or repr(text[:80])}, got {digest.hexdigest()}")
        write_atomic(_checksum_path(path), text)
    return True


def _checksum_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.CHECKSUM")


def _parse_checksum(text: bytes, name: str) -> str | None:
    """Return the digest that a checksum file lists for `name`, or None."""
    match = re.match(rb"([0-9a-fA-F]{64})\s+\*?(\S+)\s*$", text)
    return match[1].decode().lower() if match and match[2] == name.encode() else None


def _retry_after(headers: email.message.Message) -> float:
    """Return the seconds of a Retry-After header (a number or a date, RFC 9110 10.2.3), 0 without a valid one."""
    value = headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    with contextlib.suppress(TypeError, ValueError):
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    return 0.0
