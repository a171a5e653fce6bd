"""Measure in numpy what every single edge of a compiled model carries.

Written against the weights alone, without torch and without the engine of this project, so that
the two can be held against each other. Double precision, all prompts at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

DIRECTIONS = ("ablate", "restore")
"""Run the clean prompt and give one edge its corrupt value, or the other way round."""


class Edge(NamedTuple):
    """What flows from a source into a destination at one token position."""

    src: str
    dest: str
    position: int

    @property
    def name(self) -> str:
        """Return the name without the position, as `sp_widget.Edge.name` does."""
        return f"{self.src}->{self.dest}"


class CompiledModel:
    """A bidirectional transformer without norms, every source kept apart from the others."""

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
        self.n_layers, self.n_heads = config["n_layers"], config["n_heads"]
        self.d_head = config["d_head"]
        self.weights = {name: np.asarray(value, np.float64) for name, value in weights.items()}

    def edges(self, n_positions: int) -> Iterator[Edge]:
        """Yield all edges: every source with every destination that reads after it writes."""
        sources = ["Resid Start"]
        for layer in range(self.n_layers):
            heads = [f"A{layer}.{head}" for head in range(self.n_heads)]
            attention = [f"{head}.{channel}" for head in heads for channel in "QKV"]
            for dests, writes in ((attention, heads), ([f"MLP {layer}"], [f"MLP {layer}"])):
                yield from _between(sources, dests, n_positions)
                sources += writes
        yield from _between(sources, ["Resid End"], n_positions)

    def run(
        self, tokens: Any, edge: Edge | None = None, patch: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Return logits `[prompt, seq, d_vocab_out]` and what each source writes.

        With `edge`, its destination reads `x + a - c` at the edge's position: `a` is what the
        source writes in `patch`, `c` what it writes here.
        """
        weights = self.weights
        outputs = {"Resid Start": weights["embed.weight"][tokens] + weights["pos_embed.weight"]}
        bias = np.zeros(weights["embed.weight"].shape[1])

        def read(dest: str) -> Any:
            x = sum(outputs.values()) + bias
            if edge is not None and patch is not None and edge.dest == dest:
                at = (slice(None), edge.position)
                x[at] += patch[edge.src][at] - outputs[edge.src][at]
            return x

        def project(name: str, x: Any) -> Any:
            return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

        for layer in range(self.n_layers):
            block = f"blocks.{layer}"
            heads = {}
            for head in range(self.n_heads):
                name, part = f"A{layer}.{head}", slice(head * self.d_head, (head + 1) * self.d_head)
                q, k, v = (
                    project(f"{block}.attn.{channel.lower()}", read(f"{name}.{channel}"))[..., part]
                    for channel in "QKV"
                )
                pattern = _softmax(q @ k.swapaxes(-1, -2) / np.sqrt(self.d_head))
                heads[name] = pattern @ v @ weights[f"{block}.attn.o.weight"][:, part].T
            outputs |= heads
            bias = bias + weights[f"{block}.attn.o.bias"]
            hidden = np.maximum(project(f"{block}.mlp.in", read(f"MLP {layer}")), 0)
            outputs[f"MLP {layer}"] = project(f"{block}.mlp.out", hidden)
        return project("unembed", read("Resid End")), outputs


def single_edge_effects(model: CompiledModel, clean: Any, corrupt: Any) -> dict[Edge, list[float]]:
    """Return for every edge the largest change of any logit when it alone is patched.

    `clean`, `corrupt`: tokens `[prompt, seq]`. One number a direction, in the order of
    `DIRECTIONS`, over all prompts and over the positions after BOS.
    """
    (clean_logits, clean_outputs), (corrupt_logits, corrupt_outputs) = map(
        model.run, (clean, corrupt)
    )
    effects = {}
    for edge in model.edges(clean.shape[1]):
        ablated, _ = model.run(clean, edge, corrupt_outputs)
        restored, _ = model.run(corrupt, edge, clean_outputs)
        changes = (ablated - clean_logits, restored - corrupt_logits)
        effects[edge] = [float(np.abs(change[:, 1:]).max()) for change in changes]
    return effects


def _between(sources: list[str], dests: list[str], n_positions: int) -> Iterator[Edge]:
    for dest in dests:
        for src in sources:
            for position in range(n_positions):
                yield Edge(src, dest, position)


def _softmax(scores: Any) -> Any:
    exps = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exps / exps.sum(axis=-1, keepdims=True)
