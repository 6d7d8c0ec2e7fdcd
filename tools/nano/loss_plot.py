"""A loss log as a picture: SVG, standard library only.

    python tools/nano/loss_plot.py RUN/log.csv OUT.svg
"""

import csv
import math
import sys

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 400, 60, 30, 20, 45
CURVES = (("loss", "#1f5fbf"), ("draft_loss", "#c05a1f"), ("cell_loss", "#3f8f3f"))


def _points(rows, column):
    points = [(float(r["seconds"]) / 60, float(r[column])) for r in rows if r[column] and math.isfinite(float(r[column]))]
    size = max(1, len(points) // 300)  # means of neighbours: at most about 300 points
    groups = [points[i:i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), max(1e-6, sum(y for _, y in g) / len(g))) for g in groups]


def write(source, target):
    with open(source, newline="") as file:
        rows = list(csv.DictReader(file))
    curves = [(name, color, _points(rows, name)) for name, color in CURVES]
    every = [p for _, _, points in curves for p in points]
    if not every:
        return
    last = max(x for x, _ in every) or 1
    low, high = math.log10(min(y for _, y in every)), math.log10(max(y for _, y in every))
    high = max(high, low + 0.1)

    def place(x, y):
        return (LEFT + x / last * (WIDTH - LEFT - RIGHT), TOP + (high - math.log10(y)) / (high - low) * (HEIGHT - TOP - BOTTOM))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for decade in range(math.floor(low), math.ceil(high) + 1):
        for step in (1, 2, 5):
            value = step * 10.0**decade
            if low <= math.log10(value) <= high:
                y = place(0, value)[1]
                out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/><text x="{LEFT - 6}" y="{y + 4:.1f}" '
                           f'text-anchor="end">{value:g}</text>')
    for i in range(6):
        x = last * i / 5
        out.append(f'<text x="{place(x, 10**low)[0]:.1f}" y="{HEIGHT - 24}" text-anchor="middle">{x:.3g}</text>')
    out.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">minutes</text>')
    for n, (name, color, points) in enumerate(curves):
        if points:
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*p) for p in points))
            out.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
            out.append(f'<text x="{LEFT + 10 + 120 * n}" y="18" fill="{color}">{name.replace("_", " ")}</text>')
    with open(target, "w") as file:
        file.write("\n".join(out + ["</svg>"]) + "\n")


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2])
