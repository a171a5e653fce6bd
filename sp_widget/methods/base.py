"""What a method is: a way to give every edge an importance, in steps that can be watched.

A method has a config (a frozen dataclass that describes its fields) and a trainer (a class that
makes the steps). The session, the panel, the report, *copy as code* and checkpoints know what is
defined here and nothing of any method. `docs/add_a_method.md` walks through a new one.
"""

from __future__ import annotations

import math
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.metrics import added_metrics, faithfulness, in_full_precision
from sp_widget.circuits.patch_cache import CACHE_MODES, CacheMode
from sp_widget.circuits.prepared import PreparedBatch, prepare_batches
from sp_widget.circuits.scores import PruneScores, largest
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, NonFiniteLossError, StateError
from sp_widget.methods.arguments import check_training_arguments
from sp_widget.methods.best import Best
from sp_widget.methods.checkpoint import read_state
from sp_widget.methods.fingerprint import (
    fingerprint_of_graph,
    fingerprint_of_prompts,
    fingerprint_of_weights,
)
from sp_widget.methods.parameter import choice, parameters, whole_number
from sp_widget.methods.progress import progress_bar
from sp_widget.methods.ranking import circuit_size_of
from sp_widget.methods.record import HardEvaluation, StepRecord, validation_problem
from sp_widget.methods.run_files import moment_of, read_trainer, save_moment
from sp_widget.methods.series import EDGES, LOSS, VALIDATION, Series
from sp_widget.types import AblationType, FaithfulnessTarget, PatchType, Side

FAITHFULNESS_LABELS: Mapping[FaithfulnessTarget, str] = {
    "kl_div": "KL divergence",
    "mse": "Mean squared error",
    "answer": "Answer logit",
    "wrong_answer": "Wrong answer logit",
    "logit_diff": "Logit difference",
    "correct_percent": "Correct percent",
    "logit_diff_percent": "Logit difference percent",
}


def faithfulness_labels() -> dict[str, str]:
    """Return the labels of all faithfulness targets; one of the user's own has its name."""
    ours: dict[str, str] = dict(FAITHFULNESS_LABELS.items())
    return ours | {name: name for name in added_metrics()}


ABLATION_LABELS: Mapping[AblationType, str] = {
    AblationType.RESAMPLE: "Resample",
    AblationType.ZERO: "Zero",
    AblationType.TOKENWISE_MEAN_CLEAN: "Tokenwise mean, clean",
    AblationType.TOKENWISE_MEAN_CORRUPT: "Tokenwise mean, corrupt",
    AblationType.TOKENWISE_MEAN_CLEAN_AND_CORRUPT: "Tokenwise mean, clean and corrupt",
    AblationType.BATCH_TOKENWISE_MEAN: "Batch tokenwise mean",
    AblationType.BATCH_ALL_TOK_MEAN: "Batch mean over all tokens",
}


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """The settings of a method. Those here are how every method is prepared and measured.

    Raises `ArgumentError` (a `ValueError`) that names the first bad field.
    """

    faithfulness_target: FaithfulnessTarget | str = choice(
        "kl_div",
        "Faithfulness target",
        "What the circuit must preserve of the whole model's output. KL divergence: "
        "Σ p log(p ÷ q), of the model's p and the circuit's q.",
        faithfulness_labels,
        otherwise=", or a metric of your own after sp.register_metric",
    )
    ablation_type: AblationType = choice(
        AblationType.RESAMPLE,
        "Ablation",
        "The activations that replace a source's output on a patched edge. "
        "Resample takes them from the other prompt of the pair.",
        ABLATION_LABELS,
        section="Patching an edge",
    )
    seed: int | None = whole_number(
        None,
        "Seed",
        "Seed of everything that is drawn: the same seed gives the same scores. "
        "Left empty, one is drawn.",
        at_least=0,
        at_most=2**63 - 1,
        optional="random",
        group="more",
    )
    evaluate_every: int | None = whole_number(
        20,
        "Evaluate every",
        "Steps between two measurements of the hard circuit on all validation data. They change "
        "nothing about the scores. Left empty, only Evaluate now measures.",
        optional="never",
        group="more",
        section="Validation",
        needs_validation=True,
    )
    cache: CacheMode = choice(
        "auto", "Cache", "Where patch activations wait between steps.", CACHE_MODES, group="more"
    )

    def __post_init__(self) -> None:
        for name, parameter in parameters(self).items():
            parameter.check(name, getattr(self, name))

    @property
    def caution(self) -> str:
        """What is legal but cannot work; empty when there is nothing to say."""
        return ""

    @classmethod
    def problems(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """Return what is wrong with `values`, field by field: an empty dict when nothing is.

        Unknown names are problems too. The panel explains each problem beside its field.
        """
        found: dict[str, str] = {}
        known = parameters(cls)
        for name, value in values.items():
            if name not in known:
                found[name] = f"wanted one of {sorted(known)}, got {name!r}"
                continue
            try:
                known[name].check(name, value)
            except ArgumentError as error:
                found[name] = error.reason
        return found


ConfigT = TypeVar("ConfigT", bound=MethodConfig)
TrainerT = TypeVar("TrainerT", bound="Trainer[Any]")


class Trainer(ABC, Generic[ConfigT]):
    """One run of a method: prepared, then made step by step.

    Synchronous and, on the CPU, deterministic for a given seed and number of threads. Nothing of
    the model changes. A step happens wholly or not at all: after an error or an interrupt
    everything is as it was before it. What is drawn depends on the seed and the number of the step
    alone.

    A subclass says how many steps there are, what a step does, and what circuit and scores follow
    from `tensors`, which hold all that changes from step to step.

    Raises `ArgumentError` with the name of a bad argument.
    """

    title: ClassVar[str]
    Config: ClassVar[type[MethodConfig]]
    run_side: Side = "clean"
    """The prompts that run through the model; patch activations come from the others."""

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        config: ConfigT | None = None,
        validation_dataloader: PromptDataLoader | None = None,
    ) -> None:
        check_training_arguments(model, dataloader, validation_dataloader, config, self.Config)
        self.model = model
        self.config: ConfigT = self.Config() if config is None else config  # type: ignore[assignment]
        self.config_at_start: ConfigT = self.config
        """Before any `change`."""
        self.dataloader = dataloader
        self.validation_dataloader = validation_dataloader
        # A generator of its own: the global one is the user's.
        drawn = torch.Generator().seed() % 2**63
        self.seed = drawn if self.config.seed is None else self.config.seed
        self.history: list[StepRecord] = []
        self.evaluations: list[HardEvaluation] = []
        """The hard circuit on all validation data, oldest first."""
        self.callbacks: list[Callable[[StepRecord], None]] = []
        """Called with each record, after the step."""
        # A panel makes a trainer to look at it: nothing here may take long.
        self.tensors: dict[str, Tensor] = {}
        """What changes from step to step, by name: all that a checkpoint needs of the method."""
        self.momenta: frozenset[str] = frozenset()
        """Names of those that belong to an optimizer: it goes on where the best masks come back."""
        self.batches: list[PreparedBatch] = []
        """What was prepared of each training batch; to be read only."""
        self.validation_batches: list[PreparedBatch] = []
        self.prepared = False
        self._best = Best()
        self._before: tuple[int, dict[str, Tensor]] = (-1, {})
        """Steps done, and `tensors`, when the last step began."""
        self.check_config()

    # --- what a method says -----------------------------------------------------------------

    def check_config(self) -> None:
        """Raise `ArgumentError` for a setting that does not fit the model."""
        size = getattr(self.config, "circuit_size", None)
        if size is not None and size > self.n_edges:
            raise ArgumentError("circuit_size", f"at most {self.n_edges} edges", size)

    @property
    @abstractmethod
    def n_steps(self) -> int:
        """Steps of the whole run."""

    @abstractmethod
    def make_step(self, step: int) -> dict[str, Tensor | float]:
        """Change `tensors` as step number `step` does, and return what was measured.

        By name, each one number: `loss` at least. `validation` and `validation_hard` are fields
        of the record, the others its terms.
        """

    @abstractmethod
    def scores(self) -> Float[Tensor, " edges"]:
        """Return a score for each edge; its absolute value is the edge's importance."""

    def hard_circuit(self) -> Bool[Tensor, " edges"]:
        """Return which edges are in the circuit at this moment: each either is or is not.

        Where a method only ranks edges: those of largest absolute score, as many as its
        `circuit_size` says.
        """
        size = circuit_size_of(getattr(self.config, "circuit_size", None), self.n_edges)
        return largest(self.scores().detach().abs(), size)

    def sparsity_of(self, circuit: Bool[Tensor, " edges"]) -> float:
        """Return the sparsity term of exactly these edges, before its weight."""
        return 0.0

    def objective(self, evaluation: HardEvaluation) -> float:
        """Return what the best evaluation has least of."""
        return evaluation.objective()

    def tensors_were_put_back(self) -> None:
        """Forget whatever was computed from `tensors`: they are those of another moment."""

    # --- state ------------------------------------------------------------------------------

    @property
    def n_edges(self) -> int:
        """Edges of the model."""
        return self.model.n_edges

    @property
    def step_count(self) -> int:
        """Steps done."""
        return self.history[-1].step if self.history else 0

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.step_count >= self.n_steps

    @property
    def prune_scores(self) -> PruneScores:
        """Scores of all edges as they are so far: a copy, on the CPU."""
        parts = self.model.graph.split(self.scores().detach().cpu()).items()
        return PruneScores({name: part.clone() for name, part in parts}, self.model.graph)

    @property
    def hard_edge_count(self) -> int:
        """Edges in the hard circuit."""
        return int(self.hard_circuit().sum())

    @property
    def best(self) -> HardEvaluation | None:
        """The evaluation with the lowest objective; what it was made with is kept."""
        return self._best.evaluation

    def change(self, **values: Any) -> None:
        """Change settings between two steps; effective from the next one. Raises as
        `check_change` does.
        """
        self.check_change(**values)
        self.config = replace(self.config, **values)

    def check_change(self, **values: Any) -> None:
        """Raise `ArgumentError` for a bad value, and for a setting that cannot change in mid-run.

        May be called from any thread.
        """
        known = parameters(self.config)
        for name, value in values.items():
            if name not in known or not known[name].live:
                live = sorted(name for name, each in known.items() if each.live)
                raise ArgumentError(name, f"a setting that may change in mid-run: {live}", value)
            known[name].check(name, value)

    # --- the run ----------------------------------------------------------------------------

    def preparation(self) -> Iterator[tuple[int, int]]:
        """Compute clean logits and patch activations; yield (batches done, batches in all).

        `step` and `run` do this by themselves. Abandoned half-way, it starts over.
        """
        self.batches, self.validation_batches, self.prepared = [], [], False
        loaders = [(self.dataloader, self.batches)]
        if self.validation_dataloader is not None:
            loaders.append((self.validation_dataloader, self.validation_batches))
        total = sum(len(loader) for loader, _ in loaders)
        done = 0
        for loader, kept in loaders:
            prepared = prepare_batches(
                self.model,
                loader,
                run_side=self.run_side,
                ablation_type=self.config.ablation_type,
                cache=self.config.cache,
            )
            for batch in prepared:
                kept.append(batch)
                done += 1
                if done == total:
                    # Before the last yield: who stops listening at `total` has all of it.
                    self.begin()
                    self.prepared = True
                yield done, total

    def begin(self) -> None:
        """Measure what the first step needs of the prepared batches."""

    def step(self) -> StepRecord:
        """Make one step.

        Raises `NonFiniteLossError` when the loss is NaN or infinite (everything stays as it was)
        and `StateError` when all steps are done.
        """
        self.finish_step()
        step = self.step_count + 1
        if step > self.n_steps:
            raise StateError(f"all {self.n_steps} steps are done")
        self._prepare()
        started, processor_at_start = time.perf_counter(), time.process_time()
        self._before = (self.step_count, copies(self.tensors))
        try:
            measured = read_numbers(
                {**self.make_step(step), "hard_edge_count": self.hard_circuit().sum()}
            )
            self.check_finite(step, measured)
            if step == self.n_steps:
                self.model.check_unchanged()
            record = StepRecord(
                step=step,
                epoch=(step - 1) // len(self.batches) + 1,
                loss=measured.pop("loss"),
                hard_edge_count=int(measured.pop("hard_edge_count")),
                seconds=time.perf_counter() - started,
                processor_seconds=time.process_time() - processor_at_start,
                validation=measured.pop("validation", None),
                validation_hard=measured.pop("validation_hard", None),
                terms=measured,
            )
            # The step counts from here on; whatever is raised before undoes it.
            self.history.append(record)
        except BaseException:
            self._undo_half_a_step()
            raise
        self.finish_step()
        for callback in self.callbacks:
            callback(record)
        return record

    def rehearsal(self) -> Generator[float, None, None]:
        """Make the next step again and again, each time undone, and yield the seconds that it took.

        Before the preparation it is the first step, on the first batch alone and not validated; the
        preparation then starts over. Nothing is left behind but the model's work buffers.
        """
        self._undo_half_a_step()
        prepared = self.prepared
        step = self.step_count + 1 if prepared else 1
        try:
            if not prepared:
                with self._undone():
                    next(self.preparation())
                    if not self.prepared:
                        self.begin()
            while True:
                with self._undone():
                    started = time.perf_counter()
                    self.make_step(step)
                    seconds = time.perf_counter() - started
                yield seconds
        finally:
            if not prepared:
                self.batches, self.validation_batches, self.prepared = [], [], False

    def finish_step(self) -> None:
        """Bring what an interrupt left half done to its end, the evaluation after a step included.

        `step` and `run` do this by themselves.
        """
        self._undo_half_a_step()
        if self._evaluation_is_due(self.step_count):
            self.evaluate()

    def run(self, progress: bool = True, *, until_step: int | None = None) -> PruneScores:
        """Make all remaining steps, with a progress bar unless `progress` is false.

        `until_step`: stop when so many steps are done in all; a later `run` goes on. Warns, once,
        when the validation data gives NaN or infinity although the training goes on.
        """
        if self.config.caution and not self.history:
            warnings.warn(self.config.caution, stacklevel=2)
        last = self.n_steps if until_step is None else min(until_step, self.n_steps)
        self.finish_step()
        problem = ""
        with progress_bar(self.title, last, self.step_count, enabled=progress) as show:
            while self.step_count < last:
                record = self.step()
                show(f"loss {record.loss:.3g}, {record.hard_edge_count} edges")
                if not problem:
                    problem = validation_problem(record, self.evaluations)
                    if problem:
                        warnings.warn(problem, stacklevel=2)
        return self.prune_scores

    def check_finite(self, step: int, measured: dict[str, float]) -> None:
        """Raise `NonFiniteLossError` if the step's loss is NaN or infinite."""
        if not math.isfinite(measured["loss"]):
            raise NonFiniteLossError(
                f"the loss became {measured['loss']} at step {step}; everything is as after step "
                f"{step - 1}."
            )

    def generator(self, step: int, stream: int = 0) -> torch.Generator:
        """Return a source of random numbers for a step, on the model's device.

        Streams of one step are independent, and so are steps. Nothing is drawn beyond a step, so
        that a run goes on exactly after an interrupt and from a checkpoint.
        """
        # SplitMix64's constants spread neighbouring steps over all seeds.
        mixed = (self.seed + 0x9E3779B97F4A7C15 * (2 * step + stream + 1)) % 2**64
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) % 2**64
        return torch.Generator(self.model.device).manual_seed((mixed ^ (mixed >> 31)) % 2**63)

    # --- the hard circuit on validation data ------------------------------------------------

    @torch.no_grad()
    def evaluate(self) -> HardEvaluation:
        """Measure the hard circuit on all validation data, and keep its masks if it is the best.

        A second evaluation after the same step replaces the first. Raises `StateError` without
        validation data.
        """
        if self.validation_dataloader is None:
            raise StateError("cannot evaluate: there is no validation_dataloader")
        self._prepare()
        circuit = self.hard_circuit()
        evaluation = HardEvaluation(
            step=self.step_count,
            edges=int(circuit.sum()),
            faithfulness=self.mean_faithfulness(circuit, self.validation_batches),
            regularizer=self.sparsity_of(circuit),
        )
        masks = {name: self.tensors[name] for name in self.tensors if name not in self.momenta}
        # In this order: interrupted in between, the same evaluation is made again.
        self._best = self._best.or_better(evaluation, masks, self.objective)
        earlier = [each for each in self.evaluations if each.step != evaluation.step]
        self.evaluations = [*earlier, evaluation]
        return evaluation

    @torch.no_grad()
    def restore_best(self) -> HardEvaluation:
        """Go back to the masks of the best evaluation; steps, history and optimizer go on.

        Raises `StateError` when nothing was evaluated.
        """
        if self._best.evaluation is None:
            raise StateError("cannot restore the best masks: nothing was evaluated")
        self._put_back(self._best.tensors)
        return self._best.evaluation

    @torch.no_grad()
    def mean_faithfulness(
        self, circuit: Bool[Tensor, " edges"], batches: Sequence[PreparedBatch]
    ) -> float:
        """Return the faithfulness of a circuit, averaged over all prompts of some batches."""
        masks = self.masks_of(circuit)
        sizes = [here.inputs.embed.shape[0] for here in batches]
        values = [self.faithfulness(self.run_masks(masks, here), here).item() for here in batches]
        return sum(n * value for n, value in zip(sizes, values, strict=True)) / sum(sizes)

    @property
    def patch_type(self) -> PatchType:
        """How a circuit of this run is run."""
        return PatchType.TREE_PATCH if self.run_side == "clean" else PatchType.EDGE_PATCH

    def masks_of(self, circuit: Bool[Tensor, " edges"]) -> Float[Tensor, "1 edges"]:
        """Return the mask values that run exactly this circuit."""
        return self.patch_type.patched(circuit).float().unsqueeze(0)

    def run_masks(self, masks: Float[Tensor, "n edges"], here: PreparedBatch) -> Tensor:
        """Return the logits at the output positions with every edge patched by its mask value."""
        logits = self.model.engine.run(
            masks, here.inputs, here.patch(), self.model.out_positions, self._recompute
        )
        return in_full_precision(self.model.sliced(logits))

    def faithfulness(self, logits: Tensor, here: PreparedBatch) -> Float[Tensor, ""]:
        """Return the chosen faithfulness of some logits of a batch: smaller is more faithful."""
        target = self.config.faithfulness_target
        return faithfulness(target, logits, here.clean_logits, here.batch)

    # --- checkpoints ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all that another trainer with the same arguments needs to go on bit by bit."""
        return {
            **self.state_without_history(),
            "history": [record.to_dict() for record in self.history],
        }

    def state_without_history(self) -> dict[str, Any]:
        """Return `state_dict` but for the records, which need no copy."""
        self._undo_half_a_step()
        best = self._best
        return {
            "made_with": dict(self.made_with),
            "seed": self.seed,
            "config": {name: getattr(self.config, name) for name in self._live_names()},
            "tensors": copies(self.tensors),
            "evaluations": [evaluation.to_dict() for evaluation in self.evaluations],
            "best": None if best.evaluation is None else best.evaluation.to_dict(),
            "best_tensors": copies(best.tensors),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises `ArgumentError` for a state of another method, model, data or config, and for one
        that is damaged; nothing is changed then.
        """
        loaded = read_state(
            state,
            made_with=self.made_with,
            config=self.config,
            tensors=self.tensors,
            kept_of_best=self.tensors.keys() - self.momenta,
            n_steps=self.n_steps,
            n_edges=self.n_edges,
        )
        self._before = (-1, {})
        self.config, self.seed = loaded.config, loaded.seed
        self.history, self.evaluations = loaded.history, loaded.evaluations
        self._best = loaded.best
        self._put_back(loaded.tensors)

    def save(self, folder: str | Path) -> None:
        """Write the run as it is now into a folder, which `load` and `runs.RunFolder` read.

        It may hold an earlier moment of the same run; killed in the middle, it still holds that
        one. See docs/runs.md. Raises `ArgumentError` for a folder with another run or a later
        moment, and for a method that `sp.methods` does not know; `StateError` while a run is under
        way in the folder, and `OSError` where it cannot be written.
        """
        save_moment(folder, moment_of(self))

    @classmethod
    def load(
        cls: type[TrainerT],
        folder: str | Path,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        validation_dataloader: PromptDataLoader | None = None,
    ) -> TrainerT:
        """Return the trainer of a run in a folder: it goes on bit for bit where it was saved.

        `Trainer.load` reads a run of any method. Raises `ArgumentError` for a run of another
        method, model or data, and for a folder that `save` did not write.
        """
        trainer, _ = read_trainer(folder, model, dataloader, validation_dataloader)
        if not isinstance(trainer, cls):
            raise ArgumentError("folder", f"a run of {cls.title}", trainer.title)
        return trainer

    @cached_property
    def made_with(self) -> Mapping[str, str]:
        """What must be the same where a state is taken and where it goes on, in words."""
        live = self._live_names()
        settings = {
            f"config.{name}": _settled(getattr(self.config, name))
            for name in parameters(self.config)
            if name not in live and name != "seed"
        }
        return {
            "method": self.title,
            "model's edges": fingerprint_of_graph(self.model),
            "model's weights": fingerprint_of_weights(self.model),
            "dataloader": fingerprint_of_prompts(self.dataloader),
            "validation_dataloader": fingerprint_of_prompts(self.validation_dataloader),
            **settings,
        }

    # --- inside -----------------------------------------------------------------------------

    _recompute = False

    def _prepare(self) -> None:
        if not self.prepared:
            for _ in self.preparation():
                pass

    def _evaluation_is_due(self, step: int) -> bool:
        every = self.config.evaluate_every
        if step == 0 or every is None or self.validation_dataloader is None:
            return False
        made = bool(self.evaluations) and self.evaluations[-1].step == step
        return not made and (step == self.n_steps or step % every == 0)

    def _live_names(self) -> list[str]:
        return [name for name, each in parameters(self.config).items() if each.live]

    @contextmanager
    def _undone(self) -> Iterator[None]:
        before = copies(self.tensors)
        try:
            yield
        finally:
            self._put_back(before)

    def _undo_half_a_step(self) -> None:
        """Put everything back as it was if the last step did not come to its end.

        Interrupted itself, it is done again before the next step.
        """
        steps_done, tensors = self._before
        if steps_done == self.step_count:
            self._put_back(tensors)
            self._before = (-1, {})

    @torch.no_grad()
    def _put_back(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.tensors[name].copy_(value)
        self.tensors_were_put_back()


def _settled(value: Any) -> str:
    # A set has no order of its own.
    return str(sorted(map(str, value))) if isinstance(value, frozenset) else repr(value)


def copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies that the next step does not change."""
    return {name: value.detach().clone() for name, value in tensors.items()}


def settings_of(Config: type[ConfigT], settings: Mapping[str, Any]) -> ConfigT:
    """Return the config with these settings. Raises `ArgumentError` for a name it does not have."""
    for name, value in settings.items():
        if name not in parameters(Config):
            raise ArgumentError(name, f"one of {sorted(parameters(Config))}", value)
    return Config(**settings)


def read_numbers(measured: Mapping[str, Tensor | float]) -> dict[str, float]:
    """Return numbers `[]` that lie on a device as Python numbers: they travel together."""
    tensors = {name: value for name, value in measured.items() if isinstance(value, Tensor)}
    dtype = torch.float32
    for value in tensors.values():
        dtype = torch.promote_types(dtype, value.dtype)
    numbers = torch.stack([value.detach().to(dtype) for value in tensors.values()]).tolist()
    read = dict(zip(tensors, numbers, strict=True))
    return {name: read.get(name, value) for name, value in measured.items()}


@dataclass(frozen=True)
class Preset:
    """A recipe; what it does not state, it leaves as it is."""

    name: str
    label: str
    values: Mapping[str, Any]
    """Field of the method's config to value."""

    def applied_to(self, config: ConfigT) -> ConfigT:
        """Return `config` with the settings of the recipe."""
        return replace(config, **self.values)

    def fits(self, config: MethodConfig) -> bool:
        """Return whether `config` has all settings of the recipe."""
        return all(getattr(config, name) == value for name, value in self.values.items())


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to score edges, as everything above the methods sees it."""

    name: str
    """As in `sp.methods.get`."""
    title: str
    summary: str
    """In one line, what it is for."""
    Config: type[Any]
    """Its config: a subclass of `MethodConfig`."""
    trainer: Callable[..., Trainer[Any]]
    """Called with `(model, dataloader, config=None, validation_dataloader=None)`."""
    series: tuple[Series, ...] = (LOSS, VALIDATION, EDGES)
    """The lines of its chart."""
    recipe: Callable[[PatchableModel, PromptDataLoader], MethodConfig] | None = None
    """Returns the settings that need no tuning, for a model and prompts; by default `Config()`."""
    presets: tuple[Preset, ...] = ()

    def first_config(self, model: PatchableModel, dataloader: PromptDataLoader) -> Any:
        """Return what the panel shows to somebody who says nothing."""
        return self.Config() if self.recipe is None else self.recipe(model, dataloader)

    def presets_for(
        self, model: PatchableModel, dataloader: PromptDataLoader
    ) -> tuple[Preset, ...]:
        """Return the presets, the settings that need no tuning first."""
        if self.recipe is None:
            return self.presets
        recipe, default = self.recipe(model, dataloader), self.Config()
        stated = {name for preset in self.presets for name in preset.values}
        changed = {
            name for name in parameters(recipe) if getattr(recipe, name) != getattr(default, name)
        }
        values = {name: getattr(recipe, name) for name in sorted(stated | changed)}
        return (Preset("recommended", "Recommended: needs no tuning", values), *self.presets)

    def series_for(self, validation: bool) -> tuple[Series, ...]:
        """Return the lines of its chart, with or without validation data."""
        return tuple(each for each in self.series if validation or each is not VALIDATION)
