from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from fxtrade.report import tearsheet_html
from fxtrade.report.tearsheet_figures import figures
from fxtrade.report.tearsheet_tables import headline, tables
from tests.helpers import tearsheet_sample as sample

VOID = {"meta", "br", "img", "hr", "input", "link"}


class Reader(HTMLParser):
    """Collects tags, attributes and visible text, and checks that tags are closed in order."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open, self.attributes, self.words, self.ids = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.words.append(data.strip())


@pytest.fixture(scope="module")
def sheet():
    return sample.sheet()


@pytest.fixture(scope="module")
def page(sheet):
    return tearsheet_html.page(sheet)


@pytest.fixture(scope="module")
def read(page):
    return Reader(page)


def test_is_well_formed(page, read):
    assert page.startswith("<!DOCTYPE html>") and read.open == []
    assert len(read.ids) == len(set(read.ids))
    assert {"curves", "months", "days", "trades", "by_asset"} <= set(read.ids)


def test_loads_nothing(sheet, page, read):
    assert not [a for a in read.attributes if a[1] in ("src", "href", "srcset", "action", "data")]
    assert not re.search(r"@import|url\(", tearsheet_html.STYLE)
    policy = next(value for _, name, value in read.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy and "http" not in policy
    assert page.count("plotly.js v") == 1  # the library is inside, once
    assert page.count('"showSendToCloud": false') == len(figures(sheet))


def test_shows_the_numbers_of_the_value(sheet, read):
    text = read.words
    for name, number in headline(sheet):
        assert name in text and number in text
    for table in tables(sheet):
        assert table.title in text
        for row in table.rows:
            assert set(filter(None, row)) <= set(text)


def test_names_are_text_and_not_markup(page, read):
    assert "A & <b>" in read.words and "2 < 3 positions" in read.words
    assert any("BTC<script>, ETH&USD" in words for words in read.words)
    assert "BTC<script>" not in page


def test_equal_tear_sheets_give_equal_pages(page):
    assert tearsheet_html.page(sample.sheet()) == page


def test_limits_are_stated(sheet, page, monkeypatch):
    assert "trades of an asset with the largest" not in page
    monkeypatch.setattr(tearsheet_html, "MARKERS", 5)
    monkeypatch.setattr(tearsheet_html, "ASSETS", 1)
    limited = tearsheet_html.page(sheet)
    assert "The 5 trades of an asset with the largest" in limited and "The 1 assets with the largest" in limited


def test_without_trades_benchmark_and_warnings():
    read = Reader(tearsheet_html.page(sample.idle(sample.panel(30))))
    assert "trades" not in read.ids and "curves" in read.ids and "Best trades" not in read.words
    assert not [a for a in read.attributes if a[1:] == ("class", "warnings")]
