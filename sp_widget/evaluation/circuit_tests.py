"""Statistical tests of one circuit: does it do what the model does, is it all, is it too much."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.arguments import check_seed
from sp_widget.data.prompts import PromptDataLoader, is_whole_number
from sp_widget.engine.patchable_model import PatchableModel, require_patchable
from sp_widget.errors import ArgumentError, require_switches, require_word
from sp_widget.evaluation.hypothesis_tests import (
    Independence,
    better_than_random_p,
    count_above,
    equivalence_p,
    equivalence_tost_p,
    independence,
    minimality_p,
    redundant_edges,
)
from sp_widget.evaluation.prompt_scores import Circuit, PromptScore, PromptScores, circuit_of
from sp_widget.evaluation.random_paths import RandomPaths
from sp_widget.evaluation.tested_circuit import CircuitTest, CircuitTests, KnockedOut
from sp_widget.methods.progress import progress_bar
from sp_widget.models.architecture import tolerance
from sp_widget.types import AblationType

TESTS = (
    "equivalence",
    "equivalence_tost",
    "independence",
    "minimality",
    "sufficiency",
    "partial_necessity",
)
"""The names of all tests, in the order of the table."""

MOST_DRAWN = 1_000_000
"""Random circuits, edges, permutations or samples: a slip of the pen is more likely than more."""


def circuit_tests(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    circuit: Circuit,
    n_edges: int | None = None,
    *,
    tests: Collection[str] = TESTS,
    score: PromptScore | None = None,
    ablation_type: AblationType = AblationType.RESAMPLE,
    epsilon: float = 0.1,
    quantile: float = 0.9,
    alpha: float = 0.05,
    n_random: int = 100,
    n_permutations: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> CircuitTests:
    """Test a circuit on prompts, better on those that it was not trained on.

    After Shi et al. 2024 (arXiv 2410.13032); the page *Statistics* explains each test. A prompt
    has a score in the model, in the circuit (all other edges ablated) and in its complement (the
    edges of the circuit ablated).

    Args:
        model: What `sp_widget.patchable_model` returns.
        dataloader: The prompts.
        circuit: Prune scores, or a circuit made by hand: its edges, or their names.
        n_edges: How many of the highest scores are the circuit; `None` with edges.
        tests: Those to make, by name. `minimality` runs a circuit for every edge.
        score: From logits at the output positions and their batch to one number a prompt, the
            higher the better. By default the logit difference; where answers are values, minus
            the squared error.
        ablation_type: What replaces the edges outside of a circuit.
        epsilon: How far from ½ the chance of the circuit to beat the model may be for the two
            to be called equivalent.
        quantile: The share of random circuits, or edges, that this one is to be better than.
        alpha: The level of each test.
        n_random: Random circuits, made of paths, and random edges.
        n_permutations: Of the test of independence.
        seed: Of all that is drawn.
        progress: Whether to show a progress bar.

    Raises `ArgumentError` with the name of a bad argument.
    """
    if isinstance(tests, str | Tensor) or not isinstance(tests, Collection):
        raise ArgumentError("tests", f"a list of {', '.join(TESTS)}", tests)
    for test in tests:
        require_word("tests", test, TESTS)
    check_share("epsilon", epsilon, 0.5)
    for name, share in (("quantile", quantile), ("alpha", alpha)):
        check_share(name, share, 1)
    for name, count in (("n_random", n_random), ("n_permutations", n_permutations)):
        check_n_drawn(name, count)
    check_seed(seed)
    require_switches(progress=progress)
    levels = _Levels(epsilon, quantile, alpha, n_random, n_permutations, seed)
    chosen = circuit_of(require_patchable(model), circuit, n_edges, "circuit")
    runs = PromptScores(model, dataloader, score, ablation_type)
    size = int(chosen.sum())
    n_runs = {"minimality": size + 2 * n_random, "sufficiency": n_random}
    n_runs["partial_necessity"] = n_random
    wanted = [name for name in TESTS if name in tests]
    total = 4 + sum(n_runs.get(name, 0) for name in wanted)
    with progress_bar("Circuits", total, 0, progress) as show:
        tester = _Tester(model, runs, chosen, levels, show)
        made = tuple(getattr(tester, name)() for name in wanted)
    return CircuitTests(
        tests=made,
        n_edges=size,
        n_prompts=runs.n_prompts,
        alpha=alpha,
        knocked_out=tester.knocked_out,
    )


@dataclass(frozen=True)
class _Levels:
    epsilon: float
    quantile: float
    alpha: float
    n_random: int
    n_permutations: int
    seed: int


class _Tester:
    """Makes the tests of one circuit; the method of each has its name."""

    def __init__(
        self,
        model: PatchableModel,
        runs: PromptScores,
        circuit: Bool[Tensor, " edges"],
        levels: _Levels,
        show: Callable[..., None],
    ) -> None:
        self._model, self._runs, self._circuit = model, runs, circuit
        self._levels, self._show = levels, show
        self._paths = RandomPaths(model, levels.seed)
        everything = torch.ones_like(circuit)
        rows = runs.of([everything, circuit, ~circuit, ~everything], show)
        self._in_model, self._in_circuit, self._in_complement, ablated = rows
        # What a computation's rounding changes must not decide about higher or lower.
        precision = tolerance(next(model.wrapped_model.parameters()).dtype)
        self._tie = precision * float((self._in_model - ablated).abs().median())
        self.knocked_out: tuple[KnockedOut, ...] = ()

    def _scores(self, circuits: Iterator[Tensor]) -> Float[Tensor, "circuits prompts"]:
        return self._runs.of(circuits, self._show)

    def _distance(self, scores: Float[Tensor, "*n prompts"]) -> Float[Tensor, "*n"]:
        """Return the mean difference from the model's scores, prompt by prompt."""
        distance: Tensor = (scores - self._in_model).abs().mean(-1)
        return distance

    def equivalence(self) -> CircuitTest:
        n, above = self._runs.n_prompts, self._n_above()
        epsilon = self._levels.epsilon
        p = equivalence_p(above, n, epsilon)
        passed = p >= self._levels.alpha
        return CircuitTest(
            name="equivalence",
            title="Equivalence",
            statistic=above / n,
            in_words=_higher(above, n),
            p=p,
            null=f"The circuit scores a prompt higher than the model with a chance within "
            f"{epsilon:g} of one half.",
            passed=passed,
            meaning="Nothing here speaks against the circuit being as good as the model."
            if passed
            else f"The circuit is {'better' if above > n / 2 else 'worse'} than the model.",
        )

    def equivalence_tost(self) -> CircuitTest:
        n, above = self._runs.n_prompts, self._n_above()
        epsilon = self._levels.epsilon
        p = equivalence_tost_p(above, n, epsilon)
        passed = p < self._levels.alpha
        return CircuitTest(
            name="equivalence_tost",
            title="Equivalence, two one-sided tests",
            statistic=above / n,
            in_words=_higher(above, n),
            p=p,
            null=f"The circuit scores a prompt higher than the model with a chance that is "
            f"{epsilon:g} or more from one half.",
            passed=passed,
            meaning="The circuit is as good as the model, up to that margin."
            if passed
            else "These prompts do not show that the circuit is as good as the model.",
        )

    def independence(self) -> CircuitTest:
        x, y = self._in_model, self._in_complement
        # What is the same for all prompts depends on nothing, whatever the circuit.
        telling = float(x.max() - x.min()) > self._tie
        found = Independence(0.0, math.nan)
        if telling:
            draw = torch.Generator().manual_seed(self._levels.seed)
            found = independence(x, y, self._levels.n_permutations, draw)
        p = found.p
        passed = p >= self._levels.alpha if telling else None
        meanings = {
            None: "The model scores all prompts alike, so nothing can depend on its score.",
            True: "What is left without the circuit shows nothing of the model's score.",
            False: "What is left without the circuit still follows the model: edges are missing.",
        }
        return CircuitTest(
            name="independence",
            title="Independence of the complement",
            statistic=found.hsic,
            in_words=f"HSIC {found.hsic:.2g} between model and complement",
            p=p,
            null="The scores of the model and of the complement of the circuit are independent.",
            passed=passed,
            meaning=meanings[passed],
        )

    def minimality(self) -> CircuitTest:
        levels, places = self._levels, self._circuit.nonzero().flatten().tolist()
        without = self._scores(_without(self._circuit, place) for place in places)
        effects = (without - self._in_circuit).abs().mean(1)
        drawn = [self._paths.inflated(self._circuit) for _ in range(levels.n_random)]
        pairs = self._scores(circuit for pair in drawn if pair is not None for circuit in pair)
        random_effects = (pairs[0::2] - pairs[1::2]).abs().mean(1)
        telling = len(random_effects) > 0
        p = minimality_p(effects, random_effects, levels.quantile, self._tie)
        redundant = redundant_edges(p, levels.alpha) & telling
        self.knocked_out = tuple(
            KnockedOut(edge=edge, effect=effect, p=each, redundant=too_much)
            for edge, effect, each, too_much in zip(
                self._model.graph.edges_at(places),
                effects.tolist(),
                p.tolist(),
                redundant.tolist(),
                strict=True,
            )
        )
        n_redundant, n = int(redundant.sum()), len(places)
        passed = n_redundant == 0 if telling else None
        meanings = {
            None: "No path has an edge outside of the circuit to compare with.",
            True: "No edge of the circuit does as little as random ones.",
            False: f"{_edges(n_redundant)} could be left out: see `.edges`.",
        }
        return CircuitTest(
            name="minimality",
            title="Minimality",
            statistic=float(n_redundant),
            in_words=f"{n_redundant} of {_edges(n)} do no more than random ones",
            # The smallest of all, corrected after Bonferroni.
            p=min(1.0, n * float(p.min())) if telling else math.nan,
            null=f"Every edge changes the score more, when it is knocked out, than at least "
            f"{levels.quantile:.0%} of random edges do.",
            passed=passed,
            meaning=meanings[passed],
        )

    def sufficiency(self) -> CircuitTest:
        others = self._distance(self._scores(self._random_circuits()))
        n_better = int((self._distance(self._in_circuit) < others - self._tie).sum())
        return self._against_random(
            name="sufficiency",
            title="Sufficiency",
            n_better=n_better,
            comparison="is closer to the model than {} random circuits of its size",
            passed="The circuit keeps more of what the model does than most random ones.",
            failed="A random circuit of this size may do as well.",
        )

    def partial_necessity(self) -> CircuitTest:
        complements = (~circuit for circuit in self._random_circuits())
        others = self._distance(self._scores(complements))
        n_better = int((self._distance(self._in_complement) > others + self._tie).sum())
        return self._against_random(
            name="partial_necessity",
            title="Partial necessity",
            n_better=n_better,
            comparison="does more harm, when knocked out, than {} random circuits of its size",
            passed="Without the circuit the model loses more than without most random ones.",
            failed="The model does without the circuit as well as without random ones.",
        )

    def _against_random(
        self, *, name: str, title: str, n_better: int, comparison: str, passed: str, failed: str
    ) -> CircuitTest:
        levels = self._levels
        p = better_than_random_p(n_better, levels.n_random, levels.quantile)
        most = f"at most {levels.quantile:.0%} of all"
        return CircuitTest(
            name=name,
            title=title,
            statistic=n_better / levels.n_random,
            in_words=f"{n_better} of {levels.n_random} random circuits beaten",
            p=p,
            null=f"The circuit {comparison.format(most)}.",
            passed=p < levels.alpha,
            meaning=passed if p < levels.alpha else failed,
        )

    def _n_above(self) -> float:
        return count_above(self._in_circuit, self._in_model, self._tie)

    def _random_circuits(self) -> Iterator[Tensor]:
        paths = RandomPaths(self._model, self._levels.seed)
        size = int(self._circuit.sum())
        return (paths.circuit(size) for _ in range(self._levels.n_random))


def _without(circuit: Bool[Tensor, " edges"], place: int) -> Bool[Tensor, " edges"]:
    smaller = circuit.clone()
    smaller[place] = False
    return smaller


def _higher(n_above: float, n: int) -> str:
    return f"{n_above:g} of {n} prompts score higher in the circuit (ties: half)"


def _edges(count: int) -> str:
    return f"{count:,} edge{'' if count == 1 else 's'}"


def check_share(name: str, value: object, most: float) -> None:
    """Raise `ArgumentError` for what is no number between 0 and `most`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < most:
        raise ArgumentError(name, f"a number between 0 and {most:g}", value)


def check_n_drawn(name: str, value: object) -> None:
    """Raise `ArgumentError` for what is no number of things to draw."""
    if not is_whole_number(value) or not 1 <= value <= MOST_DRAWN:
        raise ArgumentError(name, f"a whole number from 1 to {MOST_DRAWN:,}", value)
