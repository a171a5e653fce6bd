"""How much of a circuit stays when prompts and seed are others."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.data import Subset

from sp_widget import methods
from sp_widget.circuits.arguments import check_count, check_counts, check_model_and_prompts
from sp_widget.circuits.scores import PruneScores, largest
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.circuit_tests import check_at_least_1
from sp_widget.evaluation.model_factory import Made, ModelFactory, check_factory, made_by
from sp_widget.evaluation.overlap import chance_jaccard
from sp_widget.evaluation.result_table import html_table, text_table
from sp_widget.graph.base_graph import Edge
from sp_widget.methods.base import MethodConfig
from sp_widget.methods.parameter import parameters
from sp_widget.methods.progress import progress_bar

if TYPE_CHECKING:
    from pandas import DataFrame

CORE = 0.95
"""The share of runs in which an edge is that belongs to the core."""

NULL = "Every run picks its edges at random."
_N_SIZES = 12


class Executor(Protocol):
    """Whatever runs functions elsewhere: the pools of `concurrent.futures`, and their like."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Return a future, with `result()` and `cancel()`."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Stability:
    """Which edges come back from run to run, and how alike the circuits are."""

    frequencies: PruneScores
    """For every edge the share of runs in which it is in the circuit of `n_edges`. As scores, so
    that they can be listed, saved, and drawn: `view.show_frequencies(stability.frequencies)`."""
    n_edges: int
    n_runs: int
    asked: int
    """Runs that were asked for: more than `n_runs` if it was cancelled."""
    sizes: tuple[int, ...]
    jaccard: tuple[float, ...]
    """For each size the mean Jaccard index of all pairs of runs."""

    @property
    def chance(self) -> tuple[float, ...]:
        """For each size the Jaccard index of random circuits, K ÷ (2 − K)."""
        of = self.frequencies.graph.n_edges
        return tuple(chance_jaccard(size, of) for size in self.sizes)

    @property
    def core(self) -> list[Edge]:
        """The edges in at least 95% of the runs, the most frequent first."""
        return self._edges("core")

    @property
    def contingent(self) -> list[Edge]:
        """The edges between: more often there than by chance, but not in every run."""
        return self._edges("contingent")

    @property
    def noise(self) -> list[Edge]:
        """The edges that were there, but no more often than chance explains."""
        return self._edges("noise")

    @property
    def frame(self) -> DataFrame:
        """Return a row for every edge that was in any circuit: `edge`, `frequency`, `low`, `high`
        (its Wilson interval of 95%), `part` (core, contingent or noise).
        """
        import pandas

        rows = [(repr(edge), *rest) for edge, *rest in self._parts()]
        return pandas.DataFrame(rows, columns=["edge", "frequency", "low", "high", "part"])

    @property
    def curve(self) -> DataFrame:
        """Return a row for every size: `n_edges`, `jaccard`, `chance`."""
        import pandas

        rows = list(zip(self.sizes, self.jaccard, self.chance, strict=True))
        return pandas.DataFrame(rows, columns=["n_edges", "jaccard", "chance"])

    def _edges(self, wanted: str) -> list[Edge]:
        return [edge for edge, *_, part in self._parts() if part == wanted]

    def _parts(self) -> list[tuple[Edge, float, float, float, str]]:
        graph = self.frequencies.graph
        seen = int((graph.flatten(self.frequencies) > 0).sum())
        by_chance = self.n_edges / graph.n_edges
        found = []
        for edge, frequency in self.frequencies.top(seen):
            low, high = wilson_interval(round(frequency * self.n_runs), self.n_runs)
            core = frequency >= CORE - 1e-6
            part = "core" if core else "contingent" if low > by_chance else "noise"
            found.append((edge, frequency, low, high, part))
        return found

    @property
    def _caption(self) -> str:
        counts = {"core": 0, "contingent": 0, "noise": 0}
        for *_, part in self._parts():
            counts[part] += 1
        stopped = "" if self.n_runs == self.asked else f" (stopped: {self.asked} were asked for)"
        return (
            f"Stability of circuits of {self.n_edges:,} edges over {self.n_runs} runs{stopped}: "
            f"{counts['core']:,} edges are core (in at least 95% of the runs), "
            f"{counts['contingent']:,} contingent, {counts['noise']:,} no more frequent than "
            f"chance explains. Null: {NULL}"
        )

    def _rows(self) -> list[tuple[str, str, str]]:
        return [
            (f"{size:,}", f"{jaccard:.3f}", f"{chance:.3f}")
            for size, jaccard, chance in zip(self.sizes, self.jaccard, self.chance, strict=True)
        ]

    def __repr__(self) -> str:
        return text_table(self._caption, ("edges", "Jaccard", "by chance"), self._rows())

    def _repr_html_(self) -> str:
        return html_table(self._caption, ("edges", "Jaccard", "by chance"), self._rows())


def stability(
    runs: PatchableModel | ModelFactory | Sequence[PruneScores],
    dataloader: PromptDataLoader | None = None,
    config: MethodConfig | str | None = None,
    *,
    n_edges: int,
    sizes: Sequence[int] | None = None,
    n_bootstrap: int = 20,
    seeds: Sequence[int] = (0,),
    executor: Executor | None = None,
    progress: bool = True,
) -> Stability:
    """Measure how stable circuits are over runs, those given or those that it makes.

    After Méloux et al. 2025 (arXiv 2510.00845): `stability(list_of_scores, n_edges=50)`, or
    `stability(model, dataloader, "eap_ig", n_edges=50)` for new runs, each with prompts drawn
    from those of the dataloader with replacement.

    Args:
        runs: The scores of at least two runs; or the model to make them on; or a function that
            returns model and dataloader, as for `sp.sweep`, for an executor in other processes.
        dataloader: The prompts to draw from, where the model is given.
        config: Settings of a method, or its name: then those that the panel begins with. By default
            subnetwork probing.
        n_edges: The size at which edges are counted.
        sizes: Those of the Jaccard curve; by default a dozen from 1 edge to all.
        n_bootstrap: Samples of the prompts.
        seeds: Each sample is run with each of these. Where a method draws nothing, more than one
            only repeats the run, and makes it look more stable than it is.
        executor: Where the runs go, by its `submit`; by default they are made here, one after the
            other. Most models cannot be sent to another process: give a function that makes it.
        progress: Whether to show a progress bar.

    An interrupt ends it with the runs that are done, if they are two or more.

    Raises `ArgumentError` with the name of a bad argument.
    """
    if isinstance(runs, PatchableModel) or callable(runs):
        if isinstance(runs, PatchableModel):
            make: Callable[[], Made] = partial(
                Made, *check_model_and_prompts(runs, dataloader), None
            )
        else:
            if dataloader is not None:
                raise ArgumentError("dataloader", "None: the function returns it", type(dataloader))
            if executor is not None:
                check_factory("runs", runs, executor)
            make = partial(made_by, runs, uuid.uuid4().hex)
        jobs = _jobs(make, config, n_bootstrap, seeds)
        found, asked = _results(jobs, executor, progress), len(jobs)
    else:
        if dataloader is not None or config is not None or executor is not None:
            raise ArgumentError("runs", "the model, where new runs are wanted", type(runs))
        found = list(runs)
        asked = len(found)
        if not all(isinstance(each, PruneScores) for each in found):
            raise ArgumentError("runs", "a model, or a list of PruneScores", runs)
    if len(found) < 2:
        raise ArgumentError("runs", "at least two runs", len(found))
    return _measured(found, asked, n_edges, sizes)


def bootstrap_sample(dataloader: PromptDataLoader, seed: int) -> PromptDataLoader:
    """Return a loader of as many prompts, drawn from those of this one with replacement."""
    rows = torch.tensor(list(dataloader.sampler))
    draw = torch.Generator().manual_seed(seed)
    drawn = rows[torch.randint(len(rows), (len(rows),), generator=draw)].tolist()
    return PromptDataLoader(
        Subset(dataloader.dataset, drawn),
        seq_len=dataloader.seq_len,
        diverge_idx=dataloader.diverge_idx,
        prefix=dataloader.prefix,
        batch_size=dataloader.batch_size or 1,
        seq_labels=dataloader.seq_labels,
        word_idxs=dataloader.word_idxs,
    )


@cache
def wilson_interval(k: int, n: int) -> tuple[float, float]:
    """Return the Wilson interval of 95% for a share, of which k of n were found."""
    from scipy.stats import binomtest

    interval = binomtest(k, n).proportion_ci(0.95, "wilson")
    return float(interval.low), float(interval.high)


def mean_jaccard(circuits: Bool[Tensor, "runs edges"]) -> float:
    """Return the mean Jaccard index of all pairs of circuits; two empty ones are alike."""
    rows = circuits.float()
    shared = rows @ rows.T
    sizes = rows.sum(1)
    either = sizes[:, None] + sizes[None, :] - shared
    index = torch.where(either > 0, shared / either.clamp(min=1), 1.0)
    pairs = torch.ones_like(index, dtype=torch.bool).triu(1)
    return float(index[pairs].mean())


def _measured(
    runs: Sequence[PruneScores], asked: int, n_edges: int, sizes: Sequence[int] | None
) -> Stability:
    graph = runs[0].graph
    for each in runs[1:]:
        if {name: score.shape for name, score in each.items()} != {
            name: score.shape for name, score in runs[0].items()
        }:
            raise ArgumentError("runs", "scores of one model", list(each))
    size = check_count(n_edges, graph.n_edges)
    chosen = _sizes(graph.n_edges, size) if sizes is None else check_counts(sizes, graph.n_edges)
    importance = torch.stack([graph.flatten(dict(each)).detach().abs().cpu() for each in runs])
    frequencies = _circuits(importance, size).float().mean(0)
    return Stability(
        frequencies=PruneScores(graph.split(frequencies), graph),
        n_edges=size,
        n_runs=len(runs),
        asked=asked,
        sizes=tuple(chosen),
        jaccard=tuple(mean_jaccard(_circuits(importance, each)) for each in chosen),
    )


def _circuits(importance: Float[Tensor, "runs edges"], size: int) -> Bool[Tensor, "runs edges"]:
    return torch.stack([largest(row, size) for row in importance])


def _sizes(n_edges: int, size: int) -> list[int]:
    """Return sizes from 1 to all edges, evenly on a log axis, and this one."""
    steps = torch.logspace(0, torch.tensor(n_edges).log10().item(), _N_SIZES).round().int()
    return sorted({*steps.clamp(1, n_edges).tolist(), size} - {0})


@dataclass(frozen=True)
class _Job:
    """One run."""

    make: Callable[[], Made]
    config: MethodConfig | str
    """The settings, or the name of the method that says with which ones it begins."""
    seed: int
    sample: int

    def __call__(self) -> PruneScores:
        model, dataloader, *_ = self.make()
        config = self.config
        if isinstance(config, str):
            config = methods.get(config).first_config(model, dataloader)
        settings = replace(config, seed=self.seed)
        prompts = bootstrap_sample(dataloader, self.sample)
        trainer = methods.of(settings).trainer(model, prompts, settings)
        scores: PruneScores = trainer.run(progress=False)
        return scores


def _jobs(
    make: Callable[[], Made],
    config: MethodConfig | str | None,
    n_bootstrap: int,
    seeds: Sequence[int],
) -> list[_Job]:
    check_at_least_1("n_bootstrap", n_bootstrap)
    method = methods.get(config) if isinstance(config, str) else methods.of(config)
    for seed in seeds:
        parameters(method.Config)["seed"].check("seed", seed)
    given = config if isinstance(config, MethodConfig) else method.name
    return [_Job(make, given, seed, sample) for sample in range(n_bootstrap) for seed in seeds]


def _results(jobs: Sequence[_Job], executor: Executor | None, progress: bool) -> list[PruneScores]:
    """Return the results of all jobs; after an interrupt, of those that are done."""
    found: list[PruneScores] = []
    with progress_bar("Runs", len(jobs), 0, progress) as show:
        try:
            for scores in _run_here(jobs) if executor is None else _run_there(jobs, executor):
                found.append(scores)
                show("")
        except KeyboardInterrupt:
            if len(found) < 2:
                raise
    return found


def _run_here(jobs: Iterable[_Job]) -> Iterator[PruneScores]:
    for job in jobs:
        yield job()


def _run_there(jobs: Iterable[_Job], executor: Executor) -> Iterator[PruneScores]:
    futures = [executor.submit(job) for job in jobs]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()
