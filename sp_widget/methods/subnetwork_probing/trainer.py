"""Subnetwork probing: train a mask on every edge until a sparse, faithful circuit is left.

After Miller, Chughtai & Saunders 2024 (arXiv 2407.08734), loosely after Cao, Sanh & Rush 2021
(arXiv 2104.03514).
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sp_widget.circuits.metrics import FAITHFULNESS, accuracy, in_full_precision
from sp_widget.circuits.prepared import PreparedBatch, prepare_batches
from sp_widget.circuits.scores import PruneScores, scores_from_parameters
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, NonFiniteLossError, StateError
from sp_widget.methods.arguments import check_training_arguments
from sp_widget.methods.mask_functions import is_on, mask_values
from sp_widget.methods.progress import progress_bar
from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.step_values import Figures
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.hard_circuit import (
    KeepBest,
    hard_circuit,
    hard_regularizer,
    mean_over_prompts,
    thresholded,
)
from sp_widget.methods.subnetwork_probing.regularizer import regularizer, soft_edge_count


@dataclass(frozen=True)
class _Launched:
    """A step that was given to the device."""

    step: int
    learning_rate: float
    regularize_lambda: float
    started: float
    figures: Figures


class SubnetworkProbing:
    """The trainer: one optimiser step a batch, `epochs` passes over the dataloader.

    Synchronous and, on the CPU, deterministic for a given seed. Nothing of the model changes.

    Raises `ArgumentError` with the name of a bad argument.
    """

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        config: SubnetworkProbingConfig | None = None,
        validation_dataloader: PromptDataLoader | None = None,
    ) -> None:
        check_training_arguments(model, dataloader, validation_dataloader, config)
        self.model = model
        self.config = SubnetworkProbingConfig() if config is None else config
        self._check_config()
        self.dataloader = dataloader
        self.validation_dataloader = validation_dataloader
        self.seed = torch.seed() % 2**63 if self.config.seed is None else self.config.seed
        self.history: list[StepRecord] = []
        self.evaluations: list[HardEvaluation] = []
        """The hard circuit on all validation data, oldest first."""
        self.callbacks: list[Callable[[StepRecord], None]] = []
        """Called with each record, after the step."""

        sign = 1 if self.config.tree_optimisation else -1
        start = float(sign * self.config.init_val)
        device = model.device
        self._theta = torch.full(
            (model.n_edges,), start, device=device, dtype=torch.float32, requires_grad=True
        )
        self._optimizer = torch.optim.Adam([self._theta], lr=self.config.learning_rate)
        self._avoided = model.graph.flat_index(self.config.avoid_edges).to(device)
        # Validation draws from its own stream, so that it does not change the training.
        self._generator = torch.Generator(device).manual_seed(self.seed)
        self._validation_generator = torch.Generator(device).manual_seed(self.seed + 1)
        self.batches: list[PreparedBatch] = []
        """What was prepared of each training batch; to be read only."""
        self._validation_batches: list[PreparedBatch] = []
        self._best = KeepBest()
        self.prepared = False
        self._finite = torch.ones((), dtype=torch.bool, device=device)
        """Whether all losses and gradients were finite so far; on the device."""
        self._finished = 0.0
        """When the last step ended."""
        self._may_read_behind = 0 if device.type == "cpu" else 1
        """Steps that may run while the figures of an earlier one are read. A CPU works at what it
        is given at once, so nothing is gained there."""

    def _check_config(self) -> None:
        """Whether the config fits the model."""
        model = self.model
        size = self.config.circuit_size
        if size is not None and size > model.n_edges:
            raise ArgumentError("circuit_size", f"at most {model.n_edges} edges", size)
        foreign = self.config.avoid_edges - model.edges if self.config.avoid_edges else ()
        for edge in foreign:
            raise ArgumentError("avoid_edges", "edges of the model", str(edge))
        if self.config.caution:
            warnings.warn(self.config.caution, stacklevel=3)

    # --- state ------------------------------------------------------------------------------

    @property
    def n_edges(self) -> int:
        """Edges of the model."""
        return self.model.n_edges

    @property
    def n_steps(self) -> int:
        """Steps of the whole training."""
        return self.config.epochs * len(self.dataloader)

    @property
    def step_count(self) -> int:
        """Steps done."""
        return self.history[-1].step if self.history else 0

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.step_count >= self.n_steps

    @property
    def learning_rate(self) -> float:
        """Adam's learning rate; a change is effective from the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.config = replace(self.config, learning_rate=value)
        self._optimizer.param_groups[0]["lr"] = value

    @property
    def regularize_lambda(self) -> float:
        """Weight of the regularizer; a change is effective from the next step."""
        return self.config.regularize_lambda

    @regularize_lambda.setter
    def regularize_lambda(self, value: float) -> None:
        self.config = replace(self.config, regularize_lambda=value)

    @property
    def prune_scores(self) -> PruneScores:
        """Scores of all edges as trained so far: a copy, on the CPU."""
        scores = scores_from_parameters(self._theta, self.config.tree_optimisation).cpu()
        parts = self.model.graph.split(scores).items()
        return PruneScores({name: part.clone() for name, part in parts}, self.model.graph)

    # --- training ---------------------------------------------------------------------------

    def preparation(self) -> Iterator[tuple[int, int]]:
        """Compute clean logits and patch activations; yields (batches done, batches in all).

        `step` and `run` do this by themselves. Abandoned half-way, it starts over.
        """
        self.batches, self._validation_batches, self.prepared = [], [], False
        loaders = [(self.dataloader, self.batches)]
        if self.validation_dataloader is not None:
            loaders.append((self.validation_dataloader, self._validation_batches))
        total = sum(len(loader) for loader, _ in loaders)
        done = 0
        for loader, kept in loaders:
            prepared = prepare_batches(
                self.model,
                loader,
                run_side="clean" if self.config.tree_optimisation else "corrupt",
                ablation_type=self.config.ablation_type,
                cache=self.config.cache,
            )
            for batch in prepared:
                kept.append(batch)
                done += 1
                # Set before the last yield: who stops listening at `total` has all of it.
                self.prepared = done == total
                yield done, total

    def step(self) -> StepRecord:
        """One optimiser step on the next batch.

        Raises `NonFiniteLossError` when the loss is NaN or infinite (the masks stay as they
        were) and `StateError` when all steps are done.
        """
        return self._finish(self._launch(self.step_count + 1))

    def run(self, progress: bool = True, *, until_step: int | None = None) -> PruneScores:
        """All remaining steps, with a progress bar unless `progress` is false.

        `until_step`: stop when so many steps are done in all; a later `run` goes on.
        """
        last = self.n_steps if until_step is None else min(until_step, self.n_steps)
        launched: deque[_Launched] = deque()
        with progress_bar(last, self.step_count, enabled=progress) as show:
            try:
                while self.step_count + len(launched) < last:
                    step = self.step_count + len(launched) + 1
                    launched.append(self._launch(step))
                    while len(launched) > self._reads_behind(step):
                        show(self._finish(launched.popleft()))
            except NonFiniteLossError:
                launched.clear()  # Nothing came of what was launched after it.
                raise
            finally:
                # After an interrupt, too: the masks have moved, so the history must.
                while launched:
                    show(self._finish(launched.popleft()))
        return self.prune_scores

    def _launch(self, step: int) -> _Launched:
        """Do a step, without waiting for the device that does it."""
        if step > self.n_steps:
            raise StateError(f"all {self.n_steps} steps are done")
        if not self.prepared:
            for _ in self.preparation():
                pass
        started = time.perf_counter()
        config, theta = self.config, self._theta
        here = self.batches[(step - 1) % len(self.batches)]

        logits = self._run_circuit(theta, here, self._generator, config.dropout_p)
        faithfulness = self._faithfulness(logits, here)
        edge_count = soft_edge_count(theta, config, self._generator)
        sparsity = regularizer(theta, edge_count, config, self._avoided)
        loss = faithfulness + config.regularize_lambda * sparsity
        self._optimizer.zero_grad()
        loss.backward()
        self._update_masks(loss)
        figures = Figures(
            finite=self._finite,
            loss=loss,
            faithfulness=faithfulness,
            regularizer=sparsity,
            soft_edge_count=edge_count,
            hard_edge_count=self._in_circuit().sum(),
            **self._validate(step),
            **self._accuracy(logits, here),
        )
        return _Launched(step, self.learning_rate, config.regularize_lambda, started, figures)

    def _finish(self, launched: _Launched) -> StepRecord:
        """Read what came of a step, and tell it to the history and the callbacks."""
        figures = launched.figures.read()
        # Steps may overlap: each counts from where the one before it ended.
        started, self._finished = max(launched.started, self._finished), time.perf_counter()
        if not figures["finite"]:
            self._finite = torch.ones_like(self._finite)
            raise self._not_finite(launched.step, figures)
        if launched.step == self.n_steps:
            self.model.engine.architecture.unchanged.check_numbers()
        record = StepRecord(
            step=launched.step,
            epoch=(launched.step - 1) // len(self.batches) + 1,
            loss=figures["loss"],
            faithfulness=figures["faithfulness"],
            regularizer=figures["regularizer"],
            validation=figures.get("validation"),
            validation_hard=figures.get("validation_hard"),
            soft_edge_count=figures["soft_edge_count"],
            hard_edge_count=int(figures["hard_edge_count"]),
            accuracy=figures.get("accuracy"),
            learning_rate=launched.learning_rate,
            regularize_lambda=launched.regularize_lambda,
            seconds=self._finished - started,
        )
        self.history.append(record)
        if self._evaluation_is_due(record.step):
            self.evaluate()
        for callback in self.callbacks:
            callback(record)
        return record

    def _reads_behind(self, step: int) -> int:
        """How many steps may be launched before the figures of this one are read: none where
        somebody wants the masks as they are after it."""
        wanted = self.callbacks or self._evaluation_is_due(step)
        return 0 if wanted else self._may_read_behind

    # --- held-out truth ---------------------------------------------------------------------

    @property
    def hard_edge_count(self) -> int:
        """Edges in the circuit when every mask is rounded."""
        return int(self._in_circuit().sum())

    @property
    def best(self) -> HardEvaluation | None:
        """The evaluation with the lowest objective; its masks are kept."""
        return self._best.evaluation

    @torch.no_grad()
    def evaluate(self) -> HardEvaluation:
        """Measure the hard circuit on all validation data, and keep its masks if it is the best.

        The best has the lowest objective: its faithfulness plus lambda times the regularizer of
        exactly its edges. A second evaluation after the same step replaces the first.

        Raises `StateError` without validation data.
        """
        if self.validation_dataloader is None:
            raise StateError("cannot evaluate: there is no validation_dataloader")
        if not self.prepared:
            for _ in self.preparation():
                pass
        soft = self.history[-1].soft_edge_count if self.history else 0.0
        circuit = hard_circuit(self._theta.detach(), self.config, soft)
        masks = (~circuit if self.config.tree_optimisation else circuit).float().unsqueeze(0)
        evaluation = HardEvaluation(
            step=self.step_count,
            edges=int(circuit.sum()),
            faithfulness=mean_over_prompts(
                self._validation_batches,
                lambda here: self._faithfulness(self._run_masks(masks, here), here),
            ),
            regularizer=hard_regularizer(circuit, self.config, self._avoided),
        )
        if self.evaluations and self.evaluations[-1].step == evaluation.step:
            self.evaluations.pop()
        self.evaluations.append(evaluation)
        self._best.offer(evaluation, self._theta, self.regularize_lambda)
        return evaluation

    @torch.no_grad()
    def restore_best(self) -> HardEvaluation:
        """Go back to the masks of the best evaluation; steps, history and optimizer go on.

        Raises `StateError` when nothing was evaluated.
        """
        if self._best.evaluation is None or self._best.theta is None:
            raise StateError("cannot restore the best masks: nothing was evaluated")
        self._theta.copy_(self._best.theta)
        return self._best.evaluation

    def _evaluation_is_due(self, step: int) -> bool:
        every = self.config.evaluate_every
        if every is None or self.validation_dataloader is None:
            return False
        return step == self.n_steps or step % every == 0

    # --- one step, in parts -----------------------------------------------------------------

    def _run_circuit(
        self, theta: Tensor, here: PreparedBatch, generator: torch.Generator, dropout_p: float
    ) -> Tensor:
        """Logits at the output positions with sampled masks: one sample for each prompt."""
        n_prompts = here.inputs.embed.shape[0]
        masks = mask_values(theta, self.config.mask_fn, n_prompts, generator, dropout_p)
        return self._run_masks(masks, here)

    def _run_masks(self, masks: Tensor, here: PreparedBatch) -> Tensor:
        positions = self.model.out_positions
        logits = self.model.engine.run(
            masks, here.inputs, here.patch(), positions, self.config.recompute
        )
        return in_full_precision(self.model.sliced(logits))

    def _faithfulness(self, logits: Tensor, here: PreparedBatch) -> Tensor:
        measure = FAITHFULNESS[self.config.faithfulness_target]
        return measure(logits, here.clean_logits, here.batch)

    def _accuracy(self, logits: Tensor, here: PreparedBatch) -> dict[str, Tensor]:
        if self.config.faithfulness_target != "correct_percent":
            return {}
        return {"accuracy": accuracy(logits.detach(), here.batch)}

    def _in_circuit(self) -> Tensor:
        """Which edges the hard circuit holds."""
        return thresholded(self._theta, self.config)

    @torch.no_grad()
    def _validate(self, step: int) -> dict[str, Tensor]:
        """Faithfulness on the next validation batch: with sampled masks, and of the hard
        circuit. The gap between the two is what misleads people.
        """
        if not self._validation_batches:
            return {}
        here = self._validation_batches[(step - 1) % len(self._validation_batches)]
        soft = self._run_circuit(self._theta, here, self._validation_generator, 0.0)
        on = is_on(self._theta, self.config.mask_fn).float().unsqueeze(0)
        hard = self._run_masks(on, here)
        return {
            "validation": self._faithfulness(soft, here),
            "validation_hard": self._faithfulness(hard, here),
        }

    @torch.no_grad()
    def _update_masks(self, loss: Tensor) -> None:
        """Let the optimizer step, unless this loss or gradient, or one before that nobody has
        read yet, is not finite: then the masks stay as they are."""
        gradient = self._theta.grad
        assert gradient is not None
        self._finite = self._finite & torch.isfinite(loss) & torch.isfinite(gradient).all()
        gradient.masked_fill_(~self._finite, 0)
        before = self._theta.clone()
        self._optimizer.step()
        self._theta.copy_(torch.where(self._finite, self._theta, before))

    def _not_finite(self, step: int, figures: dict[str, float]) -> NonFiniteLossError:
        what = "gradient of a mask" if math.isfinite(figures["loss"]) else "loss"
        target = self.config.faithfulness_target
        return NonFiniteLossError(
            f"the {what} became NaN or infinite at step {step} "
            f"(loss {figures['loss']}, {target} {figures['faithfulness']}); the masks are those "
            f"after step {step - 1}. A smaller learning rate may help."
        )

    # --- checkpoints ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that another trainer with the same arguments needs to go on bit by bit."""
        return {
            "seed": self.seed,
            "theta": self._theta.detach().clone(),
            # The optimizer gives its own tensors, which the next step changes in place.
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
            "generator": self._generator.get_state(),
            "validation_generator": self._validation_generator.get_state(),
            "regularize_lambda": self.regularize_lambda,
            "history": [record.to_dict() for record in self.history],
            "evaluations": [evaluation.to_dict() for evaluation in self.evaluations],
            "best": self._best.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises `ArgumentError` for the state of another model.
        """
        theta = state["theta"]
        if theta.shape != self._theta.shape:
            raise ArgumentError("state", f"masks of {self.n_edges} edges", theta.numel())
        with torch.no_grad():
            self._theta.copy_(theta)
        self.seed = state["seed"]
        self._optimizer.load_state_dict(state["optimizer"])
        self.config = replace(
            self.config,
            learning_rate=self.learning_rate,
            regularize_lambda=state["regularize_lambda"],
        )
        self._generator.set_state(state["generator"])
        self._validation_generator.set_state(state["validation_generator"])
        self.history = [StepRecord(**record) for record in state["history"]]
        # Older states have no evaluations.
        evaluations = state.get("evaluations", [])
        self.evaluations = [HardEvaluation(**values) for values in evaluations]
        self._best.load_state_dict(state.get("best"))
