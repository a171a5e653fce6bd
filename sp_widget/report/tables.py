"""The results of a run as rows of words, and these as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from torch import Tensor

from sp_widget import methods
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.base import MethodConfig
from sp_widget.methods.parameter import parameters
from sp_widget.methods.record import StepRecord
from sp_widget.report.circuit_data import known_auroc
from sp_widget.report.groups import NodeGroup
from sp_widget.report.top_circuit import TopCircuit

Rows = list[tuple[str, str]]
"""What it is, and how much."""

MOST_EDGES = 12
"""Rows of a table of edges."""


def settings(config: MethodConfig) -> Rows:
    """Return what decides about the result, in the words of the panel."""
    rows: Rows = [("Method", methods.of(config).title)]
    for name, each in parameters(config).items():
        value = getattr(config, name)
        if each.kind != "code" or value:
            rows.append((each.label, each.text(value)))
    return rows


def results(
    model: PatchableModel,
    prune_scores: Mapping[str, Tensor],
    circuit: TopCircuit,
    history: Sequence[StepRecord],
    official_edges: frozenset[Edge] | None,
) -> Rows:
    """What came out."""
    rows: Rows = []
    if history:
        last = history[-1]
        rows += [("Steps", f"{last.step:,}"), ("Loss", _number(last.loss))]
        if "faithfulness" in last.terms:
            rows.append(("Faithfulness", _number(last.faithfulness)))
        if last.validation is not None:
            rows.append(("Validation, sampled masks", _number(last.validation)))
        if last.validation_hard is not None:
            rows.append(("Validation, hard circuit", _number(last.validation_hard)))
        rows.append(("Edges of the hard circuit", f"{last.hard_edge_count:,}"))
    rows.append(("Edges of the model", f"{model.n_edges:,}"))
    rows.append(("Edges in the picture", f"{circuit.size:,}"))
    rows.append(("of these on a path", f"{len(circuit.carrying):,}"))
    if circuit.n_switched:
        rows.append(("Edges switched by hand", f"{circuit.n_switched:,}"))
    if official_edges is not None:
        found = f"{circuit.count('hit'):,} of {len(official_edges):,}"
        rows.append(("Known edges found", found))
        area = known_auroc(model, prune_scores, official_edges)
        if area is not None:
            rows.append(("AUROC", f"{area:.3f}"))
    return rows


def strongest(circuit: TopCircuit) -> Rows:
    """The most important edges with their scores."""
    return [
        (repr(each.edge), f"{each.score:.3f}")
        for each in circuit.edges[:MOST_EDGES]
        if each.verdict != "miss"
    ]


def html_table(tables: Mapping[str, Rows]) -> str:
    """Return a table each, with its heading as caption, which need no style to be read."""

    def one(heading: str, rows: Rows) -> str:
        body = "".join(
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
            for name, value in rows
        )
        return f"<table><caption>{escape(heading)}</caption><tbody>{body}</tbody></table>"

    return "".join(one(heading, rows) for heading, rows in tables.items())


def _number(value: float) -> str:
    return f"{value:.4g}"


def groups(gathered: Sequence[NodeGroup]) -> Rows:
    """Return the groups of nodes by name, with their nodes and notes."""
    rows: Rows = []
    for group in gathered:
        rows.append((group.name, ", ".join(group.nodes)))
        if group.note:
            rows.append((f"Note on {group.name}", group.note))
    return rows
