"""Measure circuits of many sizes, their complements and random circuits on prompts."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sp_widget.circuits.arguments import (
    check_counts,
    check_model_and_prompts,
    check_scores,
    check_seed,
)
from sp_widget.circuits.metrics import METRICS, Metric, metrics_by_name
from sp_widget.circuits.paths import is_causal, on_paths, output_positions
from sp_widget.circuits.prepared import PreparedBatch, prepare_batches
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader, is_whole_number
from sp_widget.engine.patchable_model import PatchableModel, find_edges
from sp_widget.errors import ArgumentError, require_member, require_switches
from sp_widget.evaluation.areas import SHARES
from sp_widget.evaluation.circuit_meter import mean_metrics, printable
from sp_widget.evaluation.evaluation import AT_SHARES, Evaluation, Kind, Measured
from sp_widget.evaluation.random_circuits import (
    layer_pairs,
    random_circuit,
    random_circuit_within_layers,
)
from sp_widget.graph.base_graph import Edge
from sp_widget.methods.faithfulness_curve import sizes_of
from sp_widget.methods.mask_training import target_for
from sp_widget.methods.progress import progress_bar
from sp_widget.types import AblationType, MetricName, PatchType

FOR_ANSWERS: tuple[MetricName, ...] = (
    "kl_div",
    "logit_diff",
    "positive_logit_diff",
    "answer_probability",
    "accuracy",
)
"""What is measured where the answers are tokens and nobody chose."""

Scores: TypeAlias = Mapping[str, Tensor] | Iterable[Edge | str]
"""Prune scores, or the edges of a circuit made by hand."""


def evaluate(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    prune_scores: Scores,
    sizes: Sequence[int] | None = None,
    ablations: AblationType | Sequence[AblationType] = AblationType.RESAMPLE,
    complement: bool = True,
    random: int = 20,
    metrics: Sequence[str | Metric] | None = None,
    patch_type: PatchType = PatchType.TREE_PATCH,
    seed: int | None = None,
    progress: bool = True,
) -> Evaluation:
    """Measure the circuits of the most important edges, and what to compare them with.

    Circuits are cut by rank, as `run_circuits` does, and run as they are cut; how many of their
    edges lie on a path from the prompt to the logits stands beside.

    An interrupt (`KeyboardInterrupt`) ends the evaluation with what is done, the circuits first:
    what is returned has `complete == False`, and a warning says so. Before anything is done it is
    raised.

    Args:
        model: What `patchable_model` returns.
        dataloader: Prompts, best those that no training has seen.
        prune_scores: Scores of all edges; or a circuit made by hand, as edges or their names, which
            ranks before all other edges. Equal scores rank in the order of the graph.
        sizes: Numbers of edges. Default: at most 16 from 1 to all edges, evenly on a log axis, and
            that of a circuit made by hand. No edge, one edge and all edges are always among them,
            because areas and shares need them.
        ablations: What an edge outside the circuit carries; several are measured one after another.
        complement: Measure everything but the circuit too.
        random: Number of random circuits of each size, once drawn from all edges, and once with as
            many edges between each pair of layers as the circuit has. 0: none.
        metrics: Names of `sp_widget.circuits.metrics.METRICS` or of metrics that
            `sp.register_metric` knows, or functions of (circuit's logits, clean logits, batch) that
            return one number or one for each prompt. Default: all that
            fit the answers. With `logit_diff` there is `logit_diff_share` too, the share of the
            model's logit difference that a circuit keeps: (m(C) - m(∅)) / (m(M) - m(∅)).
        patch_type: `TREE_PATCH`: the clean prompt runs and all edges outside the circuit are
            ablated. `EDGE_PATCH`: the corrupt prompt runs and the circuit's edges are patched.
        seed: Of the random circuits. Default: one is drawn; `Evaluation.seed` has it.
        progress: Show a progress bar.

    Raises:
        ArgumentError: With the name of a bad argument.
        ModelChangedError: When a weight has changed since the model was made patchable.
    """
    require_switches(progress=progress)
    making = EvaluationInParts(
        model,
        dataloader,
        prune_scores,
        sizes,
        ablations,
        complement,
        random,
        metrics,
        patch_type,
        seed,
    )
    with progress_bar("Evaluation", making.n_circuits, 0, enabled=progress) as show:
        try:
            for n_done in making.parts():
                show("", n_done)
        except KeyboardInterrupt:
            if not making.measured:
                raise
            warnings.warn(
                f"interrupted: {len(making.measured)} of {making.n_circuits} circuits are measured",
                stacklevel=2,
            )
    return making.evaluation


class _Wanted(NamedTuple):
    """A circuit to be measured."""

    circuit: Kind
    size: int
    draw: int | None = None


class _Circuit(NamedTuple):
    """A circuit as it is run."""

    wanted: _Wanted
    edges: Bool[Tensor, " edges"]
    n_on_paths: int


MOST_RANDOM = 10_000
"""Random circuits of a size; each is run on all prompts."""

PATHS_AT_ONCE = 64
"""Circuits whose paths are followed at once, which takes little longer than for one."""


class EvaluationInParts:
    """An evaluation that is made part by part, so that others may work in between.

    Arguments and errors are those of `evaluate`; `within_layers`: draw random circuits from each
    pair of layers too; `n_prompts`: measure on no more batches than hold so many prompts.
    """

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        prune_scores: Scores,
        sizes: Sequence[int] | None = None,
        ablations: AblationType | Sequence[AblationType] = AblationType.RESAMPLE,
        complement: bool = True,
        random: int = 20,
        metrics: Sequence[str | Metric] | None = None,
        patch_type: PatchType = PatchType.TREE_PATCH,
        seed: int | None = None,
        *,
        within_layers: bool = True,
        n_prompts: int | None = None,
    ) -> None:
        self.model, self.dataloader = check_model_and_prompts(model, dataloader)
        scores, by_hand = _scores(self.model, prune_scores)
        self.ablations = _check_ablations(ablations)
        require_member("patch_type", patch_type, PatchType)
        self.patch_type = patch_type
        if not is_whole_number(random) or not 0 <= random <= MOST_RANDOM:
            raise ArgumentError("random", f"a whole number from 0 to {MOST_RANDOM:,}", random)
        if seed is not None:
            check_seed(seed)
        require_switches(complement=complement)
        self.metrics = _check_metrics(metrics, self.dataloader)
        self.seed = torch.Generator().seed() % 2**63 if seed is None else seed
        n_edges = self.model.n_edges
        chosen = sizes_of(n_edges) if sizes is None else check_counts(sizes, n_edges, "sizes")
        self.sizes = sorted({*chosen, 0, min(1, n_edges), n_edges, *by_hand})
        self._wanted = _plan(
            self.sizes, n_edges, complement, random, within_layers, "logit_diff" in self.metrics
        )
        all_prompts = self.dataloader.n_prompts
        self._n_prompts = all_prompts if n_prompts is None else min(n_prompts, all_prompts)
        flat = self.model.graph.flatten(dict(scores))
        self._place, self._signed_place = _places(flat.abs()), _places(flat)
        self._pairs = layer_pairs(self.model.graph)
        self._drawn: tuple[tuple[Kind, int] | None, Tensor] = (None, torch.empty(0))
        self.measured: list[Measured] = []

    @property
    def n_circuits(self) -> int:
        """Circuits to be measured in all."""
        return len(self._wanted) * len(self.ablations)

    @property
    def evaluation(self) -> Evaluation:
        """What is measured so far."""
        return Evaluation(
            measured=tuple(self.measured),
            n_edges=self.model.n_edges,
            n_prompts=self._n_prompts,
            n_circuits=self.n_circuits,
            metrics=tuple(self.metrics),
            ablations=self.ablations,
            patch_type=self.patch_type,
            seed=self.seed,
        )

    def parts(self) -> Iterator[int]:
        """Measure some circuits on all prompts, yield how many, and so on until all are done."""
        for ablation in self.ablations:
            batches = []
            n_prompts = 0
            for batch in prepare_batches(
                self.model,
                self.dataloader,
                run_side=self.patch_type.run_side,
                ablation_type=ablation,
            ):
                batches.append(batch)
                n_prompts += len(batch.batch.clean)
                yield 0
                if n_prompts >= self._n_prompts:
                    break
            self._n_prompts = n_prompts
            at_once = self.model.engine.runs_at_once(batches[0].inputs)
            for start in range(0, len(self._wanted), PATHS_AT_ONCE):
                chosen = self._circuits(self._wanted[start : start + PATHS_AT_ONCE])
                for first in range(0, len(chosen), at_once):
                    part = chosen[first : first + at_once]
                    self.measured += self._measure(part, ablation, batches)
                    yield len(part)

    def _circuits(self, wanted: Sequence[_Wanted]) -> list[_Circuit]:
        """Return the circuits to be run, with the part of each that carries anything."""
        model = self.model
        circuits = torch.stack([self._edges(each) for each in wanted])
        paths = on_paths(
            model.graph, circuits, causal=is_causal(model), outputs=output_positions(model)
        )
        return [
            _Circuit(each, path if each.circuit in AT_SHARES else circuit, int(path.sum()))
            for each, circuit, path in zip(wanted, circuits, paths, strict=True)
        ]

    @torch.no_grad()
    def _measure(
        self,
        circuits: Sequence[_Circuit],
        ablation: AblationType,
        batches: Sequence[PreparedBatch],
    ) -> list[Measured]:
        patched = self.patch_type.patched(torch.stack([each.edges for each in circuits]))
        masks = patched.to(self.model.device)
        values = mean_metrics(self.model, masks, batches, self.metrics)
        return [
            Measured(
                wanted.circuit,
                ablation,
                wanted.size,
                wanted.draw,
                int(edges.sum()),
                n_on_paths,
                {
                    name: printable(name, value)
                    for name, value in zip(self.metrics, row, strict=True)
                },
            )
            for (wanted, edges, n_on_paths), row in zip(circuits, values.tolist(), strict=True)
        ]

    def _edges(self, wanted: _Wanted) -> Bool[Tensor, " edges"]:
        """Return the edges that are left as they are."""
        if wanted.circuit == "signed_top_share":
            return self._signed_place < wanted.size
        circuit = self._place < wanted.size
        if wanted.circuit == "complement":
            return ~circuit
        if wanted.draw is None:
            return circuit
        order = self._random_order(wanted.circuit, wanted.draw)
        if wanted.circuit == "random":
            return random_circuit(order, circuit)
        return random_circuit_within_layers(order, circuit, self._pairs)

    def _random_order(self, circuit: Kind, draw: int) -> Int[Tensor, " edges"]:
        """Return the place of every edge in an order of its own for each draw."""
        if (circuit, draw) != self._drawn[0]:
            stream = 2 * draw + (circuit == "random")
            generator = torch.Generator().manual_seed(
                (self.seed + 0x9E3779B97F4A7C15 * stream) % 2**63
            )
            self._drawn = ((circuit, draw), torch.randperm(self.model.n_edges, generator=generator))
        return self._drawn[1]


def _plan(
    sizes: Sequence[int],
    n_edges: int,
    complement: bool,
    random: int,
    within_layers: bool,
    at_shares: bool,
) -> list[_Wanted]:
    """Return the circuits to be measured, those first that an interrupt should leave."""
    wanted = [_Wanted("circuit", size) for size in sizes]
    if at_shares:
        kinds: tuple[Kind, ...] = AT_SHARES
        wanted += [_Wanted(kind, int(share * n_edges)) for kind in kinds for share in SHARES]
    if complement:
        wanted += [_Wanted("complement", size) for size in sizes]
    drawn: list[Kind] = ["random"]
    if within_layers:
        drawn.append("random_within_layers")
    # Of no edge and of all there is one circuit only.
    between = [size for size in sizes if 0 < size < n_edges]
    return wanted + [
        _Wanted(kind, size, draw) for draw in range(random) for kind in drawn for size in between
    ]


def _scores(model: PatchableModel, given: object) -> tuple[PruneScores, list[int]]:
    """Return scores of all edges; and of a circuit made by hand its size, in a list."""
    if isinstance(given, Mapping):
        check_scores(given, model.graph)
        return PruneScores(given, model.graph), []
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ArgumentError(
            "prune_scores", "scores, or a list of edges or their names", type(given)
        )
    places = model.graph.flat_index(find_edges(model, given, "prune_scores")).unique()
    flat = torch.zeros(model.n_edges)
    flat[places] = 1
    return PruneScores(model.graph.split(flat), model.graph), [len(places)]


def _places(scores: Float[Tensor, " edges"]) -> Int[Tensor, " edges"]:
    """Return the place of every edge, the highest score first; of equal ones the earlier."""
    places = torch.empty(len(scores), dtype=torch.long)
    places[scores.cpu().argsort(descending=True, stable=True)] = torch.arange(len(scores))
    return places


def _check_ablations(given: object) -> tuple[AblationType, ...]:
    chosen = tuple(given) if isinstance(given, Sequence) else (given,)
    if not chosen or not all(isinstance(each, AblationType) for each in chosen):
        raise ArgumentError("ablations", "members of AblationType", given)
    return tuple(dict.fromkeys(chosen))


def _check_metrics(
    given: Sequence[str | Metric] | None, dataloader: PromptDataLoader
) -> dict[str, Metric]:
    """Return the metrics by name, those that fit the answers where nobody chose."""
    if given is None:
        is_regression = target_for(dataloader) == "mse"
        return {name: METRICS[name] for name in (("mse",) if is_regression else FOR_ANSWERS)}
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise ArgumentError("metrics", "a list of names or functions", given)
    chosen: dict[str, Metric] = {}
    known: dict[object, Metric] = dict(metrics_by_name().items())
    for each in given:
        metric = each if callable(each) else known.get(each)
        if metric is None:
            raise ArgumentError("metrics", f"functions or some of {list(known)}", each)
        name = each if isinstance(each, str) else getattr(each, "__name__", type(each).__name__)
        if name in chosen:
            raise ArgumentError("metrics", "metrics of different names", name)
        chosen[name] = metric
    return chosen
