"""A small copy of the exchange's archive on 127.0.0.1 that can be told to misbehave."""

from __future__ import annotations

import collections
import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fxtrade.data.archive_plan import parse_day
from tests.helpers.funding_files import rates, rates_csv
from tests.helpers.kline_files import bars, csv, zipped

Fault = Callable[["Handler", bytes], None]


def remote(stamp: str, symbol: str = "BTCUSDT", root: str = "data/spot") -> str:
    period = "monthly" if len(stamp) == 7 else "daily"
    return f"{root}/{period}/klines/{symbol}/1h/{symbol}-1h-{stamp}.zip"


def funding_remote(month: str, symbol: str = "BTCUSDT") -> str:
    return f"data/futures/um/monthly/fundingRate/{symbol}/{symbol}-fundingRate-{month}.zip"


class Archive(ThreadingHTTPServer):
    """Serves `files`; `faults[path]` are used up one a request, then it behaves. `requests` lists what was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = collections.defaultdict(list)
        self.requests: list[str] = []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def put(self, path: str, body: bytes) -> str:
        self.files[path] = body
        self.files[f"{path}.CHECKSUM"] = f"{hashlib.sha256(body).hexdigest()}  {path.rpartition('/')[2]}".encode()
        return path

    def publish(self, stamp: str, symbol: str = "BTCUSDT", rows: list[tuple] | None = None) -> list[tuple]:
        """Put the spot zip of a month or a day, of one bar an hour or of `rows`, which come back."""
        start = parse_day(stamp)
        rows = rows or bars(str(start), (parse_day(stamp, last=True) - start).days + 1)
        self.put(remote(stamp, symbol), zipped(csv(rows)))
        return rows

    def publish_funding(self, month: str, symbol: str = "BTCUSDT", rows: list[tuple] | None = None) -> list[tuple]:
        """Put the zip of a month's funding rates, settled every 8 hours, or of `rows`, which come back."""
        rows = rows or rates(month)
        self.put(funding_remote(month, symbol), zipped(rates_csv(rows)))
        return rows

    def zips(self) -> list[str]:
        """The zips asked for since the last call."""
        asked = [path for path in self.requests if path.endswith(".zip")]
        self.requests.clear()
        return asked


class Handler(BaseHTTPRequestHandler):
    server: Archive

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        self.server.requests.append(path)
        body = self.server.files.get(path)
        if self.server.faults[path]:
            self.server.faults[path].pop(0)(self, body or b"")
        elif body is None:
            self.send_error(404)
        else:
            self.answer(body)

    def answer(self, body: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_) -> None:
        pass


def status(code: int, **headers: str) -> Fault:
    def fault(handler: Handler, _: bytes) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def truncated(handler: Handler, body: bytes) -> None:
    """Promises the whole body, sends all but its last ten bytes, hangs up."""
    handler.answer(body[:-10], length=len(body))


def stalled(reached: threading.Event | None = None) -> Fault:
    """Sends half of the body, then nothing until the server is released."""

    def fault(handler: Handler, body: bytes) -> None:
        handler.answer(body[: len(body) // 2], length=len(body))
        if reached:
            reached.set()
        handler.server.released.wait(60)

    return fault


def replaced(body: bytes) -> Fault:
    return lambda handler, _: handler.answer(body)


def dropped(handler: Handler, _: bytes) -> None:
    """Hangs up without an answer."""
    handler.close_connection = True
