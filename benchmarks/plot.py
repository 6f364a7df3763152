"""Growth as a picture: what one costs, by how many there are, against what one costs where there are fewest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

__all__ = ["plot"]

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 900, 420, 60, 20, 420, 50
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777", "#000000")
MOST = 3.0
"""The top of the picture: what grows by more runs out of it."""


def plot(series: Mapping[str, Mapping[int, float]]) -> str:
    """An SVG image of lines, each of which has what all cost, by their number. Flat is proportional; below 1 there are costs shared by all."""
    sizes = [size for costs in series.values() for size in costs]
    low, high = math.log10(min(sizes)), math.log10(max(sizes))

    def x(size: float) -> float:
        return LEFT + (math.log10(size) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(ratio: float) -> float:
        return TOP + (MOST - min(ratio, MOST)) / MOST * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for tenth in range(0, 31, 5):
        ratio = tenth / 10
        parts.append(
            f'<path d="M{LEFT} {y(ratio):.1f}H{WIDTH - RIGHT}" stroke="{"#888" if ratio == 1 else "#ddd"}"/>'
            f'<text x="{LEFT - 8}" y="{y(ratio) + 4:.1f}" text-anchor="end">{ratio:g}</text>'
        )
    for power in range(math.ceil(low), math.floor(high) + 1):
        parts.append(
            f'<text x="{x(10**power):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10**power:,}</text>'
        )
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">how many; upwards: what one costs, against the fewest</text>')
    for place, (name, costs) in enumerate(series.items()):
        colour = COLOURS[place % len(COLOURS)]
        fewest = min(costs)
        points = [(x(size), y(costs[size] / size / (costs[fewest] / fewest))) for size in sorted(costs)]
        line = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
        dots = "".join(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{colour}"/>' for across, down in points)
        height = TOP + 14 + place * 20
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
            f'<rect x="{WIDTH - RIGHT + 20}" y="{height - 9}" width="10" height="10" fill="{colour}"/>'
            f'<text x="{WIDTH - RIGHT + 36}" y="{height}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])
