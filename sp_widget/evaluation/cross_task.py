"""The circuit of one task on the prompts of another: is a circuit of this task, or of any?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sp_widget.circuits.arguments import check_model_and_prompts, check_seed
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel, require_patchable
from sp_widget.errors import ArgumentError, require_switches
from sp_widget.evaluation.circuit_tests import check_n_drawn
from sp_widget.evaluation.hypothesis_tests import better_than_random_p
from sp_widget.evaluation.prompt_scores import Circuit, PromptScore, PromptScores, circuit_of
from sp_widget.evaluation.random_paths import RandomPaths
from sp_widget.evaluation.result_table import html_table, in_words, text_table
from sp_widget.methods.progress import progress_bar
from sp_widget.types import AblationType

if TYPE_CHECKING:
    from pandas import DataFrame

QUANTILE = 0.9
NULL = (
    "On the prompts of that task the circuit is closer to the model than at most "
    f"{QUANTILE:.0%} of random circuits of its size."
)
_TITLES = ("Circuit", "Task", "Kept", "Random", "Beaten", "p")


@dataclass(frozen=True, kw_only=True)
class OnTask:
    """One circuit on the prompts of one task."""

    circuit: str
    task: str
    kept: float
    """Faithfulness (m(C) − m(∅)) ÷ (m(M) − m(∅)) of the mean scores m: 1 is the whole model."""
    random: float
    """The same, the median of random circuits."""
    beaten: float
    """The share of random circuits that are further from the model, prompt by prompt."""
    p: float
    """Of the null that at most 90% of all are."""


@dataclass(frozen=True, repr=False)
class CrossTask:
    """Every circuit on the prompts of every task."""

    results: tuple[OnTask, ...]

    @property
    def frame(self) -> DataFrame:
        """Return the table for pandas, one row for each circuit on each task."""
        import pandas

        return pandas.DataFrame([vars(each) for each in self.results])

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (each.circuit, each.task, f"{each.kept:.3f}", f"{each.random:.3f}",
             f"{each.beaten:.0%}", in_words(each.p))
            for each in self.results
        ]  # fmt: skip

    def __repr__(self) -> str:
        return text_table(f"Circuits on tasks. Null: {NULL}", _TITLES, self._rows())

    def _repr_html_(self) -> str:
        return html_table(f"Circuits on tasks. Null: {NULL}", _TITLES, self._rows())


def cross_task(
    model: PatchableModel,
    circuits: Mapping[str, Circuit],
    dataloaders: Mapping[str, PromptDataLoader],
    n_edges: int | None = None,
    *,
    score: PromptScore | None = None,
    ablation_type: AblationType = AblationType.RESAMPLE,
    n_random: int = 100,
    seed: int = 0,
    progress: bool = True,
) -> CrossTask:
    """Run every circuit on the prompts of every task: a control.

    A circuit that does as well on another task as on its own says little about either: it may be
    what every prompt needs. Each is compared with random circuits of its size, made of paths.

    `circuits`: a name to prune scores, or to the edges of a circuit. `dataloaders`: a name to
    the prompts of a task. `n_edges`: how many of the highest scores are the circuit. The other
    arguments are those of `circuit_tests`.

    Raises `ArgumentError` with the name of a bad argument.
    """
    for name, given in (("circuits", circuits), ("dataloaders", dataloaders)):
        if not isinstance(given, Mapping) or not given:
            raise ArgumentError(name, "a dictionary from names", given)
    require_patchable(model)
    for name, dataloader in dataloaders.items():
        check_model_and_prompts(model, dataloader, f"dataloaders[{name!r}]")
    check_n_drawn("n_random", n_random)
    check_seed(seed)
    require_switches(progress=progress)
    chosen = {
        name: circuit_of(
            model, given, n_edges if isinstance(given, Mapping) else None, f"circuits[{name!r}]"
        )
        for name, given in circuits.items()
    }
    results = []
    n_runs = len(dataloaders) * (2 + len(chosen) * (1 + n_random))
    with progress_bar("Circuits", n_runs, 0, progress) as show:
        for task, dataloader in dataloaders.items():
            runs = PromptScores(model, dataloader, score, ablation_type)
            everything = torch.ones(model.n_edges, dtype=torch.bool)
            in_model, ablated = runs.of([everything, ~everything], show)
            whole = (in_model.mean() - ablated.mean()).item()
            for name, circuit in chosen.items():
                paths = RandomPaths(model, seed)
                size = int(circuit.sum())
                rows = [circuit, *(paths.circuit(size) for _ in range(n_random))]
                scores = runs.of(rows, show)
                kept = (scores.mean(1) - ablated.mean()) / whole
                distance = (scores - in_model).abs().mean(1)
                beaten = int((distance[0] < distance[1:]).sum())
                results.append(
                    OnTask(
                        circuit=name,
                        task=task,
                        kept=kept[0].item(),
                        random=kept[1:].median().item(),
                        beaten=beaten / n_random,
                        p=better_than_random_p(beaten, n_random, QUANTILE),
                    )
                )
    return CrossTask(tuple(results))
