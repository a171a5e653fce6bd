"""What a circuit does on single prompts, computed on a thread of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Bool
from torch import Tensor

from sp_widget.circuits.prepared import PreparedBatch, prepare_batches
from sp_widget.circuits.scores import PruneScores, largest
from sp_widget.data.prompts import PromptDataLoader, PromptPair
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, ModelChangedError
from sp_widget.evaluation.node_on_prompt import NodeOnPrompt, find_node, node_on_prompt
from sp_widget.evaluation.per_prompt import (
    PerPrompt,
    PromptDescription,
    describe_prompts,
    prompt_losses,
    worst_first,
)
from sp_widget.evaluation.predictions import Predictions, predictions_of
from sp_widget.evaluation.prompt_pair import PairRuns, pair_at, patch_mean
from sp_widget.methods.mask_training import target_for
from sp_widget.report.circuit_data import GraphData
from sp_widget.report.edited_circuit import edited_circuit
from sp_widget.session.background_work import BackgroundWork
from sp_widget.session.session import Session
from sp_widget.types import AblationType, PatchType

THREAD_NAME = "sp-widget-prompts"

MOST_PROMPTS = 256
"""Prompts of the list: so many batches of the dataloader as hold them."""

KEPT_BYTES = 100_000_000
"""Of prepared prompts that are kept for the next circuit; others are prepared each time."""

SECONDS_WHILE_TRAINING = 3.0
"""Between two answers while a run is under way, at least."""

SECONDS_BEFORE_LIST = 0.25
"""A person who moves the slider has moved it again by then, and wants no list in between."""

SHARE_OF_TIME = 0.02
"""Of a training's time that may go into answers."""

ScoresKey: TypeAlias = tuple[int, int, int]
"""`Snapshot.masks`: which masks of which run."""

log = logging.getLogger(__name__)


class RunProtocol(NamedTuple):
    """How circuits of a run are run."""

    patch_type: PatchType
    ablation_type: AblationType


@dataclass(frozen=True, eq=False)
class PromptQuestion:
    """What a person looks at."""

    scores_key: ScoresKey
    scores: PruneScores
    protocol: RunProtocol
    size: int
    """Edges of the circuit that is cut from the scores."""
    switches: tuple[str, ...]
    """What is switched in it by hand: see `edited_circuit`."""
    pair: int | PromptPair
    """The place of a prompt in the dataloader, or one that was typed."""
    node: str
    """Empty: none."""

    def same_view(self, other: PromptQuestion) -> bool:
        """Return whether a person chose the same, and the run is the same."""
        return (
            self.scores_key[0] == other.scores_key[0]
            and self.protocol == other.protocol
            and self.size == other.size
            and self.switches == other.switches
            and self.pair == other.pair
            and self.node == other.node
        )

    def same(self, other: PromptQuestion) -> bool:
        """Return whether the answers are the same."""
        return self.same_view(other) and self.scores_key == other.scores_key


@dataclass(frozen=True)
class PromptAnswer:
    """What is known of a question so far; each answer replaces the one before."""

    question: PromptQuestion
    n_switched: int = 0
    """Edges that the circuit has or lacks because of the switches."""
    predictions: Predictions | None = None
    problem: str = ""
    """Why there are no predictions."""
    node: NodeOnPrompt | None = None
    node_problem: str = ""
    per_prompt: PerPrompt | None = None
    seconds: float = 0.0
    """From the question to the predictions, without waiting for a training."""


class BackgroundPrompts:
    """Answers the newest question: first the predictions, then the node, then the list of prompts.

    A question that a person has replaced is dropped between two of these. While a run is under way
    there is an answer every few seconds and never more than a small share of the time goes into
    them. Methods may be called from any thread, and return at once.

    Args:
        session: Whose training is not to be slowed down.
        graph: The nodes that the names of switches are of.
        dataloader: The prompts of the list.
        answered: Called on the thread with each answer that is new; must be quick.
    """

    def __init__(
        self,
        session: Session,
        model: PatchableModel,
        graph: GraphData,
        dataloader: PromptDataLoader,
        answered: Callable[[PromptAnswer], None],
    ) -> None:
        self._session = session
        self._model = model
        self._graph = graph
        self._dataloader = dataloader
        self._answered = answered
        self._thread = BackgroundWork(THREAD_NAME, session, self._work)
        # Guards what follows.
        self._lock = self._thread.lock
        self._wanted: PromptQuestion | None = None
        self._done: PromptQuestion | None = None
        """The last question that was answered wholly."""
        self._due = 0.0
        # Only the thread uses these.
        self._pair: tuple[tuple[RunProtocol, int | PromptPair], PairRuns] | None = None
        self._mean: tuple[RunProtocol, Tensor | None] | None = None
        self._prepared: tuple[RunProtocol, list[PreparedBatch]] | None = None
        self._described: list[PromptDescription] | None = None

    def ask(self, question: PromptQuestion | None) -> None:
        """Answer this question instead of an earlier one; `None`: nobody looks."""
        with self._lock:
            if self._thread.closed:
                return
            known = self._wanted if self._wanted is not None else self._done
            if question is not None and known is not None and question.same(known):
                return
            self._wanted = question
            self._lock.notify_all()
            if question is not None:
                self._thread.begin()

    def look(self) -> None:
        """See whether the run is still under way: a listener of the session."""
        with self._lock:
            self._lock.notify_all()

    def wait(self) -> None:
        """Wait until the newest question is answered."""
        with self._lock:
            self._lock.wait_for(lambda: self._wanted is None or self._thread.closed)

    def close(self) -> None:
        """End after what is at work."""
        self._thread.close()

    # The thread.

    def _work(self) -> None:
        while (question := self._next()) is not None:
            began = time.monotonic()
            for answer in self._answers(question, began):
                self._answered(answer)
                if self._is_replaced(question):
                    break
            self._finish(question)
            cost = time.monotonic() - began
            self._due = time.monotonic() + max(SECONDS_WHILE_TRAINING, cost / SHARE_OF_TIME)

    def _next(self) -> PromptQuestion | None:
        """Return the question to answer now; `None`: the thread ends."""
        with self._lock:
            while self._wanted is not None and not self._thread.closed:
                wait = self._due - time.monotonic()
                if not self._is_under_way() or wait <= 0:
                    return self._wanted
                self._lock.wait(wait)
            self._thread.end()
            return None

    def _is_under_way(self) -> bool:
        return self._session.state in ("preparing", "running", "stopping")

    def _is_replaced(self, question: PromptQuestion) -> bool:
        """Return whether a person looks at something else by now. Other scores of the same run do
        not count: a training has them all the time."""
        with self._lock:
            return self._replaced(question)

    def _is_replaced_soon(self, question: PromptQuestion) -> bool:
        """Wait a moment, and return whether a person looks at something else by then."""
        with self._lock:
            # While training there are seconds between two answers anyway.
            wait = 0.0 if self._is_under_way() else SECONDS_BEFORE_LIST
            return self._lock.wait_for(lambda: self._replaced(question), wait)

    def _replaced(self, question: PromptQuestion) -> bool:
        wanted = self._wanted
        return self._thread.closed or wanted is None or not wanted.same_view(question)

    def _finish(self, question: PromptQuestion) -> None:
        """Note that a question is answered wholly, unless a person has replaced it."""
        with self._lock:
            if self._wanted is None or not self._wanted.same_view(question):
                return
            self._done = question
            if self._wanted.same(question):
                self._wanted = None
            self._lock.notify_all()

    def _answers(self, question: PromptQuestion, began: float) -> Iterator[PromptAnswer]:
        """Yield the answer as it grows."""
        unedited, circuit = self._circuits(question)
        answer = PromptAnswer(question, n_switched=int((circuit ^ unedited).sum()))
        runs: PairRuns | None = None
        try:
            runs = self._runs(question)
            found = predictions_of(runs, circuit)
            answer = replace(answer, predictions=found)
        except Exception as error:
            answer = replace(answer, problem=_reason(error))
        answer = replace(answer, seconds=time.monotonic() - began)
        yield answer
        if question.node and runs is not None:
            try:
                node = find_node(self._model, question.node)
                found_node = node_on_prompt(runs, node, circuit, question.scores)
                answer = replace(answer, node=found_node)
            except Exception as error:
                answer = replace(answer, node_problem=_reason(error))
            yield answer
        if self._is_replaced_soon(question):
            return
        try:
            losses: list[float] = []
            for prepared in self._batches(question.protocol):
                losses += prompt_losses(
                    self._model, prepared, circuit, question.protocol.patch_type
                )
                if self._is_replaced(question):
                    return
            described = self.described[: len(losses)]
            is_regression = target_for(self._dataloader) == "mse"
            listed = worst_first(described, losses, is_regression, int(circuit.sum()))
            answer = replace(answer, per_prompt=listed)
        except Exception as error:
            answer = replace(answer, problem=answer.problem or _reason(error))
        yield answer

    def _circuits(
        self, question: PromptQuestion
    ) -> tuple[Bool[Tensor, " edges"], Bool[Tensor, " edges"]]:
        """Return the circuit that is cut from the scores, and the same after the switches."""
        graph = self._model.graph
        unedited = largest(graph.flatten(dict(question.scores)).detach().abs().cpu(), question.size)
        return unedited, edited_circuit(graph, self._graph, unedited, question.switches)

    def _runs(self, question: PromptQuestion) -> PairRuns:
        """Return the runs of the pair: those at hand, if it is the same."""
        protocol, pair = question.protocol, question.pair
        if self._pair is not None and self._pair[0] == (protocol, pair):
            return self._pair[1]
        if self._mean is None or self._mean[0] != protocol:
            mean = patch_mean(self._model, protocol.ablation_type, self._dataloader)
            self._mean = protocol, mean
        chosen = pair if isinstance(pair, PromptPair) else pair_at(self._dataloader, pair)
        runs = PairRuns(self._model, chosen, *protocol, self._mean[1])
        self._pair = (protocol, pair), runs
        return runs

    def _batches(self, protocol: RunProtocol) -> Iterator[PreparedBatch]:
        """Yield the prompts of the list, prepared."""
        if self._prepared is not None and self._prepared[0] == protocol:
            yield from self._prepared[1]
            return
        self._prepared = None
        keep = self._bytes() <= KEPT_BYTES
        kept, n_prompts = [], 0
        for prepared in prepare_batches(
            self._model,
            self._dataloader,
            run_side=protocol.patch_type.run_side,
            ablation_type=protocol.ablation_type,
            cache="device" if keep else "recompute",
        ):
            if keep:
                kept.append(prepared)
            n_prompts += len(prepared.batch.clean)
            yield prepared
            if n_prompts >= MOST_PROMPTS:
                break
        if keep:
            self._prepared = protocol, kept

    def _bytes(self) -> int:
        """Return what the patch activations of the list take."""
        batch = next(iter(self._dataloader))
        prompts = min(MOST_PROMPTS, self._dataloader.n_prompts) + len(batch.clean)
        width = int(self._model.cfg.d_model)
        numbers = self._model.engine.patch_streams * prompts * batch.clean.shape[1] * width
        weight = self._model.engine.architecture.blocks[0].attention.w_out
        return int(numbers * weight.element_size())

    @property
    def described(self) -> list[PromptDescription]:
        """The prompts of the list in words, in the order of the dataloader."""
        if self._described is None:
            described: list[PromptDescription] = []
            for batch in self._dataloader:
                described += describe_prompts(self._model, self._dataloader, batch, len(described))
                if len(described) >= MOST_PROMPTS:
                    break
            self._described = described
        return self._described


def _reason(error: Exception) -> str:
    """Return why there is no answer, for a person; an error that nobody expects goes to the log."""
    if isinstance(error, ArgumentError | ModelChangedError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError):
        return "There is not enough memory for this."
    log.error("A prompt could not be looked at", exc_info=error)
    return f"It could not be computed: {type(error).__name__}."
