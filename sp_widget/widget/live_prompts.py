"""The view of single prompts as it follows a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader, PromptPair
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.node_on_prompt import find_node
from sp_widget.evaluation.prompt_pair import typed_pair
from sp_widget.session import Session
from sp_widget.session.background_prompts import (
    SECONDS_WHILE_TRAINING,
    BackgroundPrompts,
    PromptAnswer,
    PromptQuestion,
    RunProtocol,
)
from sp_widget.widget.circuit import CircuitView
from sp_widget.widget.live_circuit import Shown
from sp_widget.widget.panel import ControlPanel
from sp_widget.widget.prompts import TYPED, PromptsView

TAB = "prompts"

SLOW = 0.15
"""Seconds: what takes longer is said to lag behind the slider."""

EDGES_TO_BEGIN_WITH = 100
"""The most important ones, among which the first head is looked for."""

NO_SCORES = "No scores yet: start a run, or make a step."


class LivePrompts:
    """Asks what a person looks at, and shows the answers; nothing while the tab is not in view.

    The circuit is the one in the circuit view, with what is switched there by hand. What is asked
    changes under the lock of the view of prompts; answers come from a thread of their own.

    Args:
        panel: Whose tab says whether the view is seen.
        circuit: Whose slider, switches and pinned node are followed.
        dataloader: The prompts of the list.
        settled: Called when an answer is shown; must be quick.
    """

    def __init__(
        self,
        session: Session,
        panel: ControlPanel,
        circuit: CircuitView,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        settled: Callable[[], None],
    ) -> None:
        self._session = session
        self._panel = panel
        self._circuit = circuit
        self._model = model
        self._dataloader = dataloader
        self._settled = settled
        self.background = BackgroundPrompts(session, model, circuit.data, dataloader, self._show)
        self.view = PromptsView(model, dataloader.n_prompts)
        self._typed: PromptPair | None = None
        self._shown: Shown | None = None
        self._prepend_bos = _begins_with_bos(model, dataloader)
        self.view.observe(self._look, ["chosen", "node"])
        circuit.observe(self._look, ["n_edges", "switches"])
        circuit.observe(self._follow_pin, "pinned")
        self.view.on_typed(self.type)
        panel.observe(self._look, "tab")
        session.subscribe(self.background.look)
        self.view.update(note=NO_SCORES)

    def follow(self, shown: Shown | None) -> None:
        """Look at the scores that the circuit view shows now."""
        with self.view.lock:
            if shown is None and self._shown is not None:
                self.view.show_predictions(None, 0, NO_SCORES)
                self.view.show_node(None, 0)
                self.view.show_unmeasured(self.background.described)
            self._shown = shown
            self._look()

    def type(self, clean: str, corrupt: str) -> None:
        """Look at a pair that a person typed, or say why it is refused."""
        with self.view.lock:
            try:
                self._typed = typed_pair(
                    self._model,
                    clean,
                    corrupt,
                    prepend_bos=self._prepend_bos,
                    prefix=self._dataloader.prefix,
                )
            except ArgumentError as error:
                self.view.update(typed_problem=_sentence(error), typed_field=_field(error))
                return
            self.view.update(typed=[clean, corrupt], typed_problem="", typed_field="", chosen=TYPED)
        self._look()

    def close(self) -> None:
        """Answer nothing from now on."""
        self.background.close()

    def _follow_pin(self, change: Any) -> None:
        try:
            node = find_node(self._model, change["new"])
        except ArgumentError:
            # Nothing is pinned, or an edge, or the start or the end of the stream.
            return
        self.view.update(node=node.name)

    def _look(self, _: Any = None) -> None:
        with self.view.lock:
            if self._panel.tab == TAB and not self.view.prompts:
                self.view.show_unmeasured(self.background.described)
            self.background.ask(self._question())

    def _question(self) -> PromptQuestion | None:
        if self._shown is None or self._panel.tab != TAB:
            return None
        (key, reading), view = self._shown, self.view
        pair: int | PromptPair | None = self._typed if view.chosen == TYPED else view.chosen
        if pair is None:
            return None
        if not view.node:
            view.update(node=_first_head(reading.scores))
        circuit = self._circuit
        return PromptQuestion(
            scores_key=key,
            scores=reading.scores,
            protocol=RunProtocol(reading.patch_type, reading.ablation_type),
            size=reading.edges if circuit.n_edges is None else circuit.n_edges,
            switches=tuple(circuit.switches),
            pair=pair,
            node=view.node,
        )

    def _show(self, answer: PromptAnswer) -> None:
        """Show an answer (called on its thread)."""
        with self.view.lock:
            # Reset meanwhile.
            if self._shown is None or self._shown[0][0] != answer.question.scores_key[0]:
                return
            n_switched = answer.n_switched
            self.view.show_predictions(answer.predictions, n_switched, self._note(answer))
            if answer.node is not None or answer.node_problem or not answer.question.node:
                self.view.show_node(answer.node, n_switched)
            if answer.per_prompt is not None:
                self.view.show_list(answer.per_prompt, n_switched)
        self._settled()

    def _note(self, answer: PromptAnswer) -> str:
        problem = answer.problem or answer.node_problem
        if problem:
            return problem
        if self._session.state == "running":
            return (
                f"While training this follows every {SECONDS_WHILE_TRAINING:g} seconds or slower."
            )
        if answer.seconds > SLOW:
            return (
                f"A circuit takes {answer.seconds:.1f} s here: this follows the slider after that."
            )
        return ""


def _first_head(scores: PruneScores) -> str:
    """Return the head with the most important edge, where a look begins; empty: none is near."""
    edges = (edge for edge, _ in scores.top(EDGES_TO_BEGIN_WITH))
    return next((edge.src.name for edge in edges if edge.src.head_idx is not None), "")


def _begins_with_bos(model: PatchableModel, dataloader: PromptDataLoader) -> bool:
    """Return whether the prompts of a dataloader begin with BOS, so that typed ones should."""
    bos = getattr(model.tokenizer, "bos_token_id", None)
    if bos is None:
        return False
    first = dataloader.prefix
    if first is None:
        batch = next(iter(dataloader))
        mask = batch.clean_attention_mask
        row = batch.clean[0] if mask is None else batch.clean[0][mask[0].bool()]
        first = row
    return bool(int(first[0]) == bos)


_FIELDS = {"clean": "Clean prompt", "corrupt": "Corrupt prompt"}


def _field(error: ArgumentError) -> str:
    return error.argument if error.argument in _FIELDS else "clean"


def _sentence(error: ArgumentError) -> str:
    return f"{_FIELDS[_field(error)]}: {error.reason}."
