"""Write and read the graph files of EAP-IG and of the MIB circuit track.

The format is that of `eap.graph.Graph` (hannamw/EAP-IG), which the leaderboard takes
(hannamw/MIB-circuit-track): a `.json` file, or a `.pt` file of tensors.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.checked_files import file_path
from sp_widget.circuits.arguments import check_count, check_scores
from sp_widget.circuits.paths import is_causal, on_paths, output_positions
from sp_widget.circuits.scores import PruneScores, largest
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, require_word
from sp_widget.evaluation.mib_format import Correspondence, MibGraph
from sp_widget.files import write_atomically
from sp_widget.graph.base_graph import Edge
from sp_widget.methods.run_files import folder_of

SUBMISSIONS = (
    "ioi_gpt2",
    "ioi_qwen2.5",
    "ioi_gemma2",
    "ioi_llama3",
    "mcqa_qwen2.5",
    "mcqa_gemma2",
    "mcqa_llama3",
    "arithmetic-addition_llama3",
    "arithmetic-subtraction_llama3",
    "arc-easy_gemma2",
    "arc-easy_llama3",
    "arc-challenge_llama3",
    "ioi_interpbench",
)
"""The folders of a submission: a task and a model each."""

KINDS = (".json", ".pt")
"""Endings of a graph file."""


def export_mib(
    path: str | Path,
    model: PatchableModel,
    prune_scores: Mapping[str, Tensor],
    n_edges: int | None = None,
) -> None:
    """Write prune scores as a graph file, `.json` or `.pt`.

    `n_edges`: how many edges of largest absolute score are the circuit that the file marks
    (`in_graph`), without those on no path; with `None` it marks none. All scores are written in
    any case, in single precision.
    Keys and values that several heads share have their score for each of these heads.

    Raises `ArgumentError` with the name of a bad argument, and for a model that such a file
    cannot describe.
    """
    path, kind = file_path(path, KINDS)
    fits = Correspondence(model)
    scores = model.graph.flatten(dict(check_scores(prune_scores, model.graph)))
    scores = scores.detach().cpu().float()
    count = 0 if n_edges is None else check_count(n_edges, model.n_edges)
    circuit = on_paths(
        model.graph,
        largest(scores.abs(), count),
        causal=is_causal(model),
        outputs=output_positions(model),
    )
    file = _File(fits.to_matrix(scores), fits.to_matrix(circuit))
    write_atomically(path, (_to_json if kind == ".json" else _to_pt)(fits.shape, file))


def export_mib_submission(
    folder: str | Path,
    model: PatchableModel,
    prune_scores: Mapping[str, Tensor],
    submission: str,
    kind: str = ".json",
) -> Path:
    """Write the scores of one task and model into the folder of a submission; return the file.

    `submission`: task and model as the leaderboard calls them, such as `"ioi_gpt2"`. The file is
    `folder/ioi_gpt2/importances.json`, or `.pt` by `kind`. A submission needs two tasks and two
    models at least: call it for each of them with the same folder.

    Raises `ArgumentError` with the name of a bad argument.
    """
    require_word("submission", submission, SUBMISSIONS)
    require_word("kind", kind, KINDS)
    path = folder_of(folder) / submission / f"importances{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    export_mib(path, model, prune_scores)
    return path


def import_mib(path: str | Path, model: PatchableModel) -> PruneScores:
    """Return the scores of a graph file, `.json` or `.pt`, on the CPU.

    Where several edges of the file are one of the model (keys and values that heads share), it
    has the score of largest absolute value.

    Raises `ArgumentError` for what is no such file, for the file of another model, for one that
    lacks an edge or the scores of edges, and for a model that such a file cannot describe.
    """
    fits = Correspondence(model)
    scores = _read(path, fits.shape).scores
    if scores is None:
        wanted = "a file with scores of edges (import_mib_circuit reads a circuit)"
        raise ArgumentError("path", wanted, str(path))
    return PruneScores(model.graph.split(fits.from_matrix(scores)), model.graph)


def import_mib_circuit(path: str | Path, model: PatchableModel) -> set[Edge]:
    """Return the edges that a graph file marks as its circuit (`in_graph`).

    Where several edges of the file are one of the model, one that is marked is enough.

    Raises `ArgumentError` as `import_mib` does, and for a file that marks no edge.
    """
    fits = Correspondence(model)
    marked = fits.from_matrix(_read(path, fits.shape).in_graph)
    if not bool(marked.any()):
        wanted = "a file that marks the edges of a circuit (import_mib reads scores)"
        raise ArgumentError("path", wanted, str(path))
    return set(model.graph.edges_at(marked.nonzero().flatten().tolist()))


class _File(NamedTuple):
    """What a graph file holds of edges."""

    scores: Float[Tensor, "sources destinations"] | None
    in_graph: Bool[Tensor, "sources destinations"]


def _to_json(shape: MibGraph, file: _File) -> bytes:
    assert file.scores is not None
    scores, in_graph = file.scores.tolist(), file.in_graph.tolist()
    nodes = {
        name: {"in_graph": marked}
        for name, marked in zip(shape.sources, file.in_graph.any(1).tolist(), strict=True)
    }
    nodes["logits"] = {"in_graph": True}
    edges = {
        name: {"score": scores[row][column], "in_graph": in_graph[row][column]}
        for name, row, column in shape.edge_names()
    }
    return json.dumps({"cfg": shape.cfg, "nodes": nodes, "edges": edges}).encode()


def _to_pt(shape: MibGraph, file: _File) -> bytes:
    content = {
        "cfg": shape.cfg,
        "src_nodes": shape.sources,
        "dst_nodes": shape.destinations,
        "edges_scores": file.scores,
        "edges_in_graph": file.in_graph,
        # On a path, a source with an edge that leaves it has one that enters it.
        "nodes_in_graph": file.in_graph.any(1),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _read(given: str | Path, shape: MibGraph) -> _File:
    path, kind = file_path(given, KINDS)
    if not path.is_file():
        raise ArgumentError("path", "a file", str(path))
    read = _Reader(path, shape)
    return read.json() if kind == ".json" else read.pt()


class _Reader:
    """Reads one file; whatever is wrong with it is told with its name."""

    def __init__(self, path: Path, shape: MibGraph) -> None:
        self._path, self._shape = path, shape

    def _wrong(self, wanted: str, got: object) -> ArgumentError:
        return ArgumentError("path", f"{self._path.name} to have {wanted}", got)

    def json(self) -> _File:
        try:
            content = json.loads(self._path.read_bytes())
        except ValueError:
            raise self._wrong("JSON in it", "something else") from None
        self._check_keys(content, ("cfg", "nodes", "edges"))
        self._check_cfg(content["cfg"])
        edges, nodes = content["edges"], content["nodes"]
        for name, part in (("edges", edges), ("nodes", nodes)):
            if not isinstance(part, dict) or any(type(one) is not dict for one in part.values()):
                raise self._wrong(f"a dictionary of dictionaries as `{name}`", type(part))
        self._refuse_neurons(any("neurons" in node for node in nodes.values()))
        places = self._shape.edge_names()
        unknown = edges.keys() - {name for name, _, _ in places}
        if unknown:
            raise self._wrong("only edges of this model", min(unknown))
        missing = [name for name, _, _ in places if name not in edges]
        if missing:
            raise self._wrong(f"all {len(places)} edges, of which it lacks", missing[0])
        size = len(self._shape.sources), len(self._shape.destinations)
        scored = any("score" in edge for edge in edges.values())
        scores = torch.zeros(size) if scored else None
        in_graph = torch.zeros(size, dtype=torch.bool)
        for name, row, column in places:
            edge = edges[name]
            if not isinstance(edge.get("in_graph"), bool):
                raise self._wrong(f"`in_graph`, true or false, of {name}", edge)
            in_graph[row, column] = edge["in_graph"]
            if scores is not None:
                score = edge.get("score")
                if isinstance(score, bool) or not isinstance(score, (int, float)):
                    raise self._wrong(f"a number as the score of {name}", score)
                if math.isnan(score):
                    raise self._wrong(f"a number as the score of {name}", "NaN")
                scores[row, column] = score
        self._refuse_nodes(scores, any("score" in node for node in nodes.values()))
        return _File(scores, in_graph)

    def pt(self) -> _File:
        try:
            content = torch.load(self._path, map_location="cpu", weights_only=True)
        except (UnpicklingError, RuntimeError, EOFError):
            raise self._wrong("tensors, lists and numbers alone", "something else") from None
        keys = ("cfg", "src_nodes", "dst_nodes", "edges_scores", "edges_in_graph", "nodes_in_graph")
        self._check_keys(content, keys)
        self._check_cfg(content["cfg"])
        self._refuse_neurons("neurons_in_graph" in content)
        for key, names in (
            ("src_nodes", self._shape.sources),
            ("dst_nodes", self._shape.destinations),
        ):
            if list(content[key]) != names:
                raise self._wrong(f"`{key}` from {names[0]} to {names[-1]}", content[key])
        size = len(self._shape.sources), len(self._shape.destinations)
        for key in ("edges_scores", "edges_in_graph"):
            tensor = content[key]
            if not isinstance(tensor, Tensor) or tuple(tensor.shape) != size:
                got = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor)
                raise self._wrong(f"`{key}` of shape {size}", got)
        # What lies between its edges means nothing.
        real = self._shape.real_edges()
        scores = torch.where(real, content["edges_scores"].float(), 0.0)
        if bool(scores.isnan().any()):
            raise self._wrong("numbers as scores", "NaN")
        self._refuse_nodes(scores, "nodes_scores" in content)
        return _File(scores, content["edges_in_graph"].bool() & real)

    def _check_keys(self, content: Any, keys: tuple[str, ...]) -> None:
        missing = [key for key in keys if not isinstance(content, dict) or key not in content]
        if missing:
            got = list(content) if isinstance(content, dict) else type(content)
            raise self._wrong(f"`{missing[0]}` in it", got)

    def _check_cfg(self, cfg: Any) -> None:
        for name, wanted in self._shape.cfg.items():
            got = cfg.get(name) if isinstance(cfg, dict) else cfg
            if got != wanted:
                raise self._wrong(f"the `{name}` of this model, {wanted}", got)

    def _refuse_neurons(self, there: bool) -> None:
        if there:
            raise self._wrong("edges between whole nodes", "edges of single neurons")

    def _refuse_nodes(self, scores: Tensor | None, node_scores: bool) -> None:
        if node_scores and (scores is None or not bool(scores.any())):
            raise self._wrong("scores of edges", "scores of nodes")
