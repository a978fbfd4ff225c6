"""The tear sheet as one HTML file that needs nothing else: plotly's code and all data are inside."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from fxtrade.evaluate.tearsheet import TearSheet
from fxtrade.report.tearsheet_figures import figures
from fxtrade.report.tearsheet_tables import CONVENTIONS, Table, describe, headline, notes, tables
from fxtrade.report.tearsheet_trades import ASSETS, MARKERS

CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "showSendToCloud": False,  # a button of plotly.js 4 that would upload the data
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}
ZOOMED = "curves", "trades", "days"  # the figures with buttons to zoom
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
STYLE = """
:root { --ink: #222; --soft: #666; --page: #fff; --line: #ddd; --card: #f5f5f5; --warn: #fff3d6 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --soft: #a8a8a8; --page: #16181c; --line: #383b41; --card: #22252b; --warn: #463a1c }
}
:root { color-scheme: light dark }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 1100px; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: .2rem 0; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 2rem 0 .3rem }
p { color: var(--soft); margin: .3rem 0; overflow-wrap: anywhere }
.warnings { background: var(--warn); border-radius: 6px; padding: .6rem 1rem .6rem 2rem; margin: .8rem 0 }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: .6rem; margin: 1rem 0 }
.cards div { background: var(--card); border-radius: 6px; padding: .5rem .8rem; color: var(--soft); font-size: .85rem }
.cards b { display: block; font-size: 1.3rem; color: var(--ink); white-space: nowrap }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 0 2rem }
.pair > section { min-width: 0 }
.wide { overflow-x: auto }
.months { min-width: 720px }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--soft); font-weight: 600 }
.word { text-align: left }
.pair td.word { white-space: normal }
footer { margin-top: 2rem }
@media (max-width: 500px) { table { font-size: .78rem } th, td { padding: .25rem .3rem } }
:is(.infolayer, .updatemenu-container, [class$="tick"]) text { fill: var(--soft) !important }
.updatemenu-item-rect { fill: var(--card) !important; stroke: var(--line) !important }
@media print {
  :root { --ink: #000; --soft: #444; --page: #fff; --line: #ccc; --card: #f5f5f5; --warn: #fff3d6 }
  body { max-width: none; padding: 0; zoom: .8 }
  section, .cards { break-inside: avoid }
  .modebar, .updatemenu-container { display: none !important }
}
"""
# Figures were drawn before the page had its width. A finger that moves over a figure scrolls the page. While they are
# printed, figures take the width of the paper.
SCRIPT = """
const plots = document.querySelectorAll(".js-plotly-plot");
plots.forEach(p => Plotly.Plots.resize(p));
if (matchMedia("(pointer: coarse)").matches) plots.forEach(p => Plotly.relayout(p, {dragmode: false}));
addEventListener("beforeprint", () => plots.forEach(p => Plotly.relayout(p, {width: p.closest(".pair") ? 410 : 860})));
addEventListener("afterprint", () => plots.forEach(p => Plotly.relayout(p, {width: null, autosize: true})));
"""


def page(sheet: TearSheet) -> str:
    """Return the page. Equal tear sheets give equal pages."""
    plots = {name: _plot(name, figure) for name, figure in figures(sheet).items()}
    listed = {table.title: table for table in tables(sheet)}
    metrics = [_table(listed.pop(title)) for title in ("Returns and risk", "Trading and costs")]
    body = [
        f"<h1>{escape(sheet.title)}</h1>",
        f"<p>{escape(describe(sheet))}</p>",
        _warnings(sheet.warnings),
        _cards(headline(sheet)),
        _section("Equity, drawdown and rolling Sharpe ratio", plots["curves"]),
        _pair(metrics),
        _section("Monthly returns", f'<div class="wide"><div class="months">{plots["months"]}</div></div>'),
        _section("Daily returns", plots["days"]),
    ]
    if "trades" in plots:
        body.append(_section("Trades on the price", f"<p>{escape(_note(sheet))}</p>", plots["trades"]))
    if "rules" in plots:
        body.append(_section("Bars in which each rule bound", plots["rules"]))
    parts = [_section(f"Net profit by {a.name}{_zone(a.name)}", plots[f"by_{a.name}"]) for a in sheet.attributions]
    body += [_pair(parts), *map(_table, listed.values())]
    listed_notes = "".join(f"<p>{escape(text)}.</p>" for text in notes(sheet))
    body += [f"<footer>{listed_notes}<p>{escape(CONVENTIONS)}</p></footer>", f"<script>{SCRIPT}</script>"]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(sheet.title)}</title>\n<style>{STYLE}</style>\n<script>{get_plotlyjs()}</script>\n</head>\n<body>\n"
        + "\n".join(filter(None, body))
        + "\n</body>\n</html>\n"
    )


def _note(sheet: TearSheet) -> str:
    text, trades_of = "Choose an asset; point at a marker for the trade.", np.bincount(sheet.trades.asset)
    if np.count_nonzero(trades_of) > ASSETS:
        text += f" The {ASSETS} assets with the largest profits and losses are offered."
    if trades_of.max() > MARKERS:
        text += f" The {MARKERS} trades of an asset with the largest profits and losses are marked."
    return text


def _zone(group: str) -> str:
    return " (UTC)" if group in ("hour", "weekday") else ""


def _warnings(warnings: tuple[str, ...]) -> str:
    lines = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<ul class="warnings">{lines}</ul>' if lines else ""


def _cards(numbers: Iterable[tuple[str, str]]) -> str:
    cards = "".join(f"<div>{escape(name)}<b>{escape(text)}</b></div>" for name, text in numbers)
    return f'<div class="cards">{cards}</div>'


def _section(title: str, *content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(content)}</section>"


def _pair(sections: Iterable[str]) -> str:
    return f'<div class="pair">{"".join(sections)}</div>'


def _table(table: Table) -> str:
    def line(tag: str, cells: tuple[str, ...]) -> str:
        kinds = (' class="word"' if i in table.words else "" for i in range(len(cells)))
        return f"<tr>{''.join(f'<{tag}{kind}>{escape(x)}</{tag}>' for kind, x in zip(kinds, cells, strict=True))}</tr>"

    rows = "".join(line("td", row) for row in table.rows)
    content = f"<table><thead>{line('th', table.header)}</thead><tbody>{rows}</tbody></table>"
    return _section(table.title, f'<div class="wide">{content}</div>')


def _plot(name: str, figure: go.Figure) -> str:
    config = CONFIG if name in ZOOMED else CONFIG | {"displayModeBar": False}
    return to_html(figure, config, full_html=False, include_plotlyjs=False, div_id=name, validate=False)
