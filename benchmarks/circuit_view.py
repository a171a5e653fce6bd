"""Frames a second of the circuit view while its slider moves, on the graph of GPT-2 small.

    python -m benchmarks.circuit_view                  # 32,491 edges
    python -m benchmarks.circuit_view --seq-len 15     # 487,365 edges, one column per position

The built bundle runs in headless Chromium without a GPU, over a stand-in for the notebook's
model. In every frame the slider takes another value, up and down its whole way; the time between
frames is what `requestAnimationFrame` tells. In the case `live`, ten times a second all scores
change as well. `settled_ms` is how long after a move to the end every edge is drawn, and
`main_thread_ms` what a frame costs the page's main thread in time of the processor, which does
not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import sys
from typing import Any

import torch
from playwright.sync_api import CDPSession, Page, sync_playwright

from sp_widget.graph.edge_graph import BlockShape, Graph
from sp_widget.report.bundle import bundled
from sp_widget.report.circuit_data import score_bytes, structure
from tests.chromium import require_chromium

FRAMES_PER_SECOND = 30
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PAGE = """<!doctype html><meta charset="utf-8"><style>STYLE</style><div id="view"></div>"""

OPEN = """async ({ code, graph, scores }) => {
  const listeners = new Map();
  const buffers = scores.map((text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new DataView(bytes.buffer);
  });
  const traits = {
    graph, scores: buffers[0], frequencies: null, training_edges: null, auroc: null,
    n_edges: 100, only_paths: true, compare: "", comparable: [], other: null, other_size: null,
    search: "", pinned: "", switches: [], undone: [], asked: "", kept: [], groups: [],
    measured: {
      key: "", metric: "", circuit: null, unedited: null, edge: "", other: null, note: "",
    },
  };
  const model = {
    get: (name) => traits[name],
    set(name, value) {
      traits[name] = value;
      for (const callback of listeners.get(`change:${name}`) ?? []) callback();
    },
    save_changes() {},
    on: (name, callback) => listeners.set(name, [...(listeners.get(name) ?? []), callback]),
    off() {},
  };
  const bundle = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const { default: widget } = await import(bundle);
  const el = document.getElementById("view");
  widget.render({ model, el, signal: new AbortController().signal });
  Object.assign(window, { model, buffers });
}"""

MOVE = """({ seconds, live, paths }) => new Promise((resolve) => {
  window.model.set("only_paths", paths);
  const slider = document.querySelector(".spc-slider");
  const end = performance.now() + seconds * 1000;
  const gaps = [];
  let before = 0, updates = 0, lastUpdate = 0;
  const frame = (now) => {
    if (before) gaps.push(now - before);
    before = now;
    // Up and down the whole way in four seconds.
    const phase = (now / 4000) % 1;
    slider.value = String(Math.round(1000 * (phase < 0.5 ? 2 * phase : 2 - 2 * phase)));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    if (live && now - lastUpdate > 100) {
      lastUpdate = now;
      window.model.set("scores", window.buffers[++updates % window.buffers.length]);
    }
    if (now < end) requestAnimationFrame(frame);
    else resolve(gaps);
  };
  requestAnimationFrame(frame);
})"""

SETTLE = """() => new Promise((resolve) => {
  // The picture is whole when the view asks for no more frames.
  const began = performance.now();
  let last = began;
  const ask = window.requestAnimationFrame;
  window.requestAnimationFrame = (callback) => ask((now) => {
    callback(now);
    last = performance.now();
  });
  window.model.set("n_edges", 1e9);
  const wait = setInterval(() => {
    if (performance.now() - last < 1000) return;
    clearInterval(wait);
    window.requestAnimationFrame = ask;
    resolve(last - began);
  }, 50);
})"""


def open_view(page: Page, seq_len: int | None) -> Graph:
    """Render the view of a model of GPT-2 small's shape with random scores."""
    graph = Graph([BlockShape(12, 12)] * 12, seq_len=seq_len)
    draw = torch.Generator().manual_seed(0)
    scores = [torch.randn(graph.n_edges, generator=draw) ** 3 for _ in range(5)]
    data = structure(
        graph,
        positions=None if seq_len is None else [f"token {i}" for i in range(seq_len)],
        outputs=range(graph.n_positions),
        causal=True,
        official=None,
    )
    page.set_content(PAGE.replace("STYLE", bundled("circuit.css")))
    page.evaluate(
        OPEN,
        {
            "code": bundled("circuit.js"),
            "graph": data,
            "scores": [
                base64.b64encode(score_bytes(graph, graph.split(flat))).decode() for flat in scores
            ],
        },
    )
    return graph


def measure(page: Page, seconds: float, live: bool, paths: bool) -> dict[str, Any]:
    """Frames a second and their times in milliseconds."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = busy_seconds(session)
    gaps = sorted(page.evaluate(MOVE, {"seconds": seconds, "live": live, "paths": paths}))
    busy = busy_seconds(session) - before
    session.detach()
    return {
        "frames_per_second": round(1000 / statistics.mean(gaps), 1),
        "median_ms": round(statistics.median(gaps), 1),
        "p95_ms": round(gaps[int(0.95 * len(gaps))], 1),
        "worst_ms": round(gaps[-1], 1),
        "main_thread_ms": round(1000 * busy / len(gaps), 1),
        "settled_ms": round(page.evaluate(SETTLE)),
    }


def busy_seconds(session: CDPSession) -> float:
    """Time of the processor that the page's main thread has used."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--width", type=int, default=1000, help="of the output, in pixels")
    parser.add_argument("--scale", type=float, default=1.0, help="pixels of the screen per pixel")
    parser.add_argument("--seq-len", type=int, help="give every token position its own edges")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require_chromium(), args=CHROMIUM_ARGUMENTS
        )
        page = browser.new_page(
            viewport={"width": arguments.width, "height": 900},
            device_scale_factor=arguments.scale,
        )
        results["edges"] = open_view(page, arguments.seq_len).n_edges
        page.wait_for_timeout(1000)
        for case, live, paths in (
            ("slider", False, False),
            ("slider, only paths", False, True),
            ("slider, live", True, False),
        ):
            results[case] = measure(page, arguments.seconds, live, paths)
        browser.close()
    print(json.dumps(results, indent=2))
    return 0 if results["slider"]["frames_per_second"] >= FRAMES_PER_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())
