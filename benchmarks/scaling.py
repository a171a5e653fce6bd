"""How seconds and memory of a step grow with the number of layers, at one width.

    python -m benchmarks.scaling                       # 12, 24 and 48 layers of GPT-2 small's width
    python -m benchmarks.scaling --plot scaling.svg

Each model trains in a process of its own. Edges grow with the square of the layers.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from benchmarks.footprint import in_a_process
from benchmarks.shapes import SHAPES


def plot(found: dict[int, Any], path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    seconds, memory = figure.subplots(1, 2)
    for axes, x, y, proportional, labels in (
        (
            seconds,
            [run["edges"] for run in found.values()],
            [run["seconds"] for run in found.values()],
            "proportional to the edges",
            ("Edges", "Seconds a step"),
        ),
        (
            memory,
            list(found),
            [run["peak_gb"] for run in found.values()],
            "proportional to the layers",
            ("Layers", "Peak memory (GB)"),
        ),
    ):
        axes.plot(x, y, "o-", color="#2a7fd4", label="measured")
        axes.plot(x, [y[0] * at / x[0] for at in x], "--", color="#777777", label=proportional)
        axes.set(xlabel=labels[0], ylabel=labels[1], xlim=(0, None), ylim=(0, None))
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[12, 24, 48])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--plot", help="file to draw the curves to")
    arguments = parser.parse_args()
    found = {}
    print("layers     edges  seconds a step  microseconds an edge  peak GB  GB a layer")
    for layers in arguments.layers:
        shape = replace(SHAPES["gpt2-small"], layers=layers)
        run = in_a_process(shape, threads=arguments.threads, steps=arguments.steps, recompute=False)
        found[layers] = run
        print(
            f"{layers:6} {run['edges']:9,} {run['seconds']:15.3f} "
            f"{1e6 * run['seconds'] / run['edges']:21.2f} {run['peak_gb']:8.2f} "
            f"{run['peak_gb'] / layers:11.3f}"
        )
    if arguments.plot:
        plot(found, arguments.plot)


if __name__ == "__main__":
    main()
