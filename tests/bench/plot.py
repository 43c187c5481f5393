"""Two pictures in one SVG: delay against streams, and a chunk's CPU by process."""

from collections.abc import Iterator, Sequence
from html import escape
from math import log10

from tests.bench.ledger import Ledger

_COLOURS = {"direct": "#888888", "naive": "#d1495b", "synthetic": "#edae49", "product": "#00798c"}
_ROLES = {"gateway": "#00798c", "redis": "#8d3b72", "worker": "#30638e", "naive": "#d1495b", "synthetic": "#edae49"}
_WIDTH, _HEIGHT, _LEFT, _TOP, _PANEL_W, _PANEL_H, _GAP = 980, 420, 70, 50, 400, 300, 90
_DELAYS = (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)


def plot(ledger: Ledger) -> str:
    parts = [*_delay_panel(ledger), *_cost_panel(ledger)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _delay_panel(ledger: Ledger) -> Iterator[str]:
    yield _text(_LEFT, _TOP - 20, "Chunk delay, p99 (dashed: p50), by number of streams at 10 chunks/s", bold=True)
    levels = sorted({int(name.split("/")[2]) for name in ledger.names() if name.startswith("delay/")})
    for delay in _DELAYS:
        y = _delay_y(delay)
        yield _line([(_LEFT, y), (_LEFT + _PANEL_W, y)], "#dddddd")
        yield _text(_LEFT - 8, y + 4, f"{delay:g} ms", anchor="end")
    for level in levels:
        x = _level_x(level, levels)
        yield _text(x, _TOP + _PANEL_H + 18, str(level), anchor="middle")
    for row, (system, colour) in enumerate(_COLOURS.items()):
        yield from _delay_lines(ledger, system, colour, levels)
        yield _text(_LEFT + 10, _TOP + 16 + 16 * row, system, colour=colour, bold=True)


def _delay_lines(ledger: Ledger, system: str, colour: str, levels: Sequence[int]) -> Iterator[str]:
    for rank, dashes in (("p99", ""), ("p50", "4 3")):
        measured = [(level, ledger.median(f"delay/{system}/{level}/{rank}")) for level in levels]
        points = [(_level_x(level, levels), _delay_y(delay)) for level, delay in measured if delay is not None]
        if points:
            yield _line(points, colour, dashes)
        for x, y in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'


def _level_x(level: int, levels: Sequence[int]) -> float:
    """Logarithmic from the least to the most; in the middle where there is only one."""
    low, high = log10(levels[0]), log10(levels[-1])
    return _LEFT + _PANEL_W * (0.5 if low == high else (log10(level) - low) / (high - low))


def _delay_y(delay: float) -> float:
    low, high = log10(_DELAYS[0]), log10(_DELAYS[-1])
    at = min(high, max(low, log10(max(delay, 1e-9))))
    return _TOP + _PANEL_H * (1 - (at - low) / (high - low))


def _cost_panel(ledger: Ledger) -> Iterator[str]:
    left, bottom = _LEFT + _PANEL_W + _GAP, _TOP + _PANEL_H
    yield _text(left, _TOP - 20, "CPU per chunk by process, 100 streams (µs)", bold=True)
    bars = {system: _costs(ledger, system) for system in ("naive", "synthetic", "product")}
    highest = max((sum(bar.values()) for bar in bars.values()), default=0.0) or 1.0
    for column, (system, bar) in enumerate(bars.items()):
        x, y = left + 20 + 125 * column, float(bottom)
        for role, cost in bar.items():
            height = cost / highest * (_PANEL_H - 20)
            y -= height
            yield f'<rect x="{x}" y="{y:.1f}" width="80" height="{height:.1f}" fill="{_ROLES[role]}"/>'
            if height > 14:
                yield _text(x + 40, y + height / 2 + 4, f"{role} {cost:.0f}", anchor="middle", colour="white")
        yield _text(x + 40, y - 6, f"{sum(bar.values()):.0f}", anchor="middle", bold=True)
        yield _text(x + 40, bottom + 18, system, anchor="middle")


def _costs(ledger: Ledger, system: str) -> dict[str, float]:
    costs = {role: ledger.median(f"cpu/{system}/100/{role}") for role in _ROLES}
    return {role: cost for role, cost in costs.items() if cost is not None}


def _line(points: Sequence[tuple[float, float]], colour: str, dashes: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222222", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(text)}</text>'
