"""Methods that train a mask on every edge by gradient descent through the patched run.

One optimiser step a batch, `epochs` passes over the dataloader. A method says how its parameters
become mask values, and what it adds to the faithfulness term of the loss.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.circuits.metrics import accuracy, require_gradient
from sp_widget.circuits.prepared import PreparedBatch
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import NonFiniteLossError
from sp_widget.methods.base import MethodConfig, Trainer
from sp_widget.methods.parameter import choice, number, switch, whole_number
from sp_widget.types import FaithfulnessTarget


@dataclass(frozen=True, kw_only=True)
class MaskTrainingConfig(MethodConfig):
    """The settings of every method that trains masks."""

    learning_rate: float = number(
        0.1,
        "Learning rate",
        "Adam's learning rate on the parameters of the masks: about how far each moves in a "
        "step. May be changed while training: takes effect at the next step.",
        above=0,
        live=True,
    )
    epochs: int = whole_number(
        20,
        "Epochs",
        "Passes over the prompts. Each batch is one step: steps = epochs × batches.",
        at_most=1_000_000,
    )
    steps: int | None = whole_number(
        None,
        "Steps",
        "Steps in all, over as many passes as it takes. Left empty, epochs × batches.",
        at_most=1_000_000_000,
        optional="epochs × batches",
        group="more",
    )
    learning_rate_schedule: Literal["constant", "falling"] = choice(
        "constant",
        "Learning rate schedule",
        "Falling: from the learning rate at the first step to a twentieth of it at the last.",
        {"constant": "Constant", "falling": "Falling linearly"},
        group="more",
    )
    recompute: bool = switch(
        False,
        "Recompute",
        "Run every node again in the backward pass instead of keeping what autograd needs of it: "
        "less memory, more time, the same result.",
        group="more",
    )


LOWEST_RATE = 0.05
"""The share of the learning rate that is left at the last step of a falling one."""


def steps_for(model: PatchableModel, dataloader: PromptDataLoader) -> int:
    """Return as many steps as masks need on this model with these batches.

    From 150 in a large model to 400 in a small one, where steps are cheap and a single edge counts
    for more; with fewer than 32 prompts in a batch more, so that as many prompts are seen.
    """
    n_prompts = len(next(iter(dataloader)).clean)
    steps = min(max(150, 200_000 / model.n_edges), 400)
    return math.ceil(steps * max(1, 32 / n_prompts))


def target_for(dataloader: PromptDataLoader) -> FaithfulnessTarget:
    """Return the target that fits the answers: `mse` where they are numbers, and not tokens."""
    answers = next(iter(dataloader)).answers
    first = answers if isinstance(answers, Tensor) else answers[0]
    return "mse" if first.is_floating_point() else "kl_div"


ConfigT = TypeVar("ConfigT", bound=MaskTrainingConfig)


class MaskTrainer(Trainer[ConfigT], Generic[ConfigT]):
    """Trains `theta`, a parameter for each edge, with Adam."""

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        config: ConfigT | None = None,
        validation_dataloader: PromptDataLoader | None = None,
    ) -> None:
        super().__init__(model, dataloader, config, validation_dataloader)
        self._recompute = self.config.recompute
        self.theta = self.start().to(model.device, torch.float32).requires_grad_()
        self.tensors["theta"] = self.theta
        self.optimizer = self.make_optimizer()
        self._expose_optimizer()
        self._has_gradient = False
        """Whether that of the faithfulness target was found to be there."""

    # --- what a method says -----------------------------------------------------------------

    @abstractmethod
    def start(self) -> Float[Tensor, " edges"]:
        """Return the parameters before the first step."""

    @abstractmethod
    def sample_masks(self, n_prompts: int, generator: torch.Generator) -> Float[Tensor, "n edges"]:
        """Return the engine's mask values, a row a prompt or one for all: 1 patches an edge."""

    def sample_validation_masks(
        self, n_prompts: int, generator: torch.Generator
    ) -> Float[Tensor, "n edges"]:
        """Return mask values to validate with: without what only helps to train them."""
        return self.sample_masks(n_prompts, generator)

    def loss(
        self,
        faithfulness: Float[Tensor, ""],
        masks: Float[Tensor, "n edges"],
        step: int,
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor | float]]:
        """Return the loss, and the terms that the method adds to the record."""
        return faithfulness, {}

    def scores(self) -> Float[Tensor, " edges"]:
        """Return the parameters, moved so that the lowest is 0: the higher, the more important."""
        theta = self.theta.detach()
        return theta - theta.min()

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return what moves `theta`."""
        return torch.optim.Adam([self.theta], lr=self.config.learning_rate)

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, by the schedule."""
        if self.config.learning_rate_schedule == "constant":
            return self.config.learning_rate
        done = (step - 1) / max(1, self.n_steps - 1)
        return self.config.learning_rate * (1 - (1 - LOWEST_RATE) * done)

    def before_update(self) -> None:
        """Change gradients before the optimizer steps."""

    def after_update(self, step: int) -> None:
        """Change what follows from the new parameters."""

    # --- a step -----------------------------------------------------------------------------

    @property
    def n_steps(self) -> int:
        """Steps of the whole training."""
        steps = self.config.steps
        return self.config.epochs * len(self.dataloader) if steps is None else steps

    def make_step(self, step: int) -> dict[str, Tensor | float]:
        """Make one optimiser step on the next batch."""
        here = self.batches[(step - 1) % len(self.batches)]
        generator = self.generator(step)
        learning_rate = self.learning_rate_at(step)

        masks = self.sample_masks(len(here.inputs.embed), generator)
        logits = self.run_masks(masks, here)
        faithfulness = self.faithfulness(logits, here)
        if not self._has_gradient:
            require_gradient(self.config.faithfulness_target, faithfulness, logits)
            self._has_gradient = True
        loss, terms = self.loss(faithfulness, masks, step, generator)
        self.optimizer.zero_grad()
        loss.backward()
        self.before_update()
        # One number tells later whether all gradients were finite, without waiting for the device.
        gradient = self.theta.grad
        assert gradient is not None
        size = gradient.abs().max()
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("fixed_lr", learning_rate)
        self.optimizer.step()
        with torch.no_grad():
            self.after_update(step)
        return {
            "loss": loss,
            "faithfulness": faithfulness,
            **terms,
            "learning_rate": learning_rate,
            **self._accuracy(logits, here),
            **self._validate(step),
            "largest_gradient": size,
        }

    def check_finite(self, step: int, measured: dict[str, float]) -> None:
        """Raise `NonFiniteLossError` if the loss or a gradient is NaN or infinite."""
        largest = measured["largest_gradient"]
        loss_is_finite = math.isfinite(measured["loss"])
        if not (loss_is_finite and math.isfinite(largest)):
            what = "gradient of a mask" if loss_is_finite else "loss"
            target = self.config.faithfulness_target
            raise NonFiniteLossError(
                f"the {what} became NaN or infinite at step {step} "
                f"(loss {measured['loss']}, {target} {measured['faithfulness']}); the masks are "
                f"those after step {step - 1}. A smaller learning rate may help."
            )

    def _accuracy(self, logits: Tensor, here: PreparedBatch) -> dict[str, Tensor]:
        if self.config.faithfulness_target != "correct_percent":
            return {}
        return {"accuracy": accuracy(logits.detach(), here.clean_logits, here.batch)}

    @torch.no_grad()
    def _validate(self, step: int) -> dict[str, Tensor]:
        """Return the faithfulness on the next validation batch, with sampled masks and of the hard
        circuit: the gap between the two is what misleads people.
        """
        if not self.validation_batches:
            return {}
        here = self.validation_batches[(step - 1) % len(self.validation_batches)]
        # A stream of its own: validation does not change the training.
        n_prompts, generator = len(here.inputs.embed), self.generator(step, stream=1)
        sampled = self.sample_validation_masks(n_prompts, generator)
        hard = self.masks_of(self.hard_circuit())
        return {
            "validation": self.faithfulness(self.run_masks(sampled, here), here),
            "validation_hard": self.faithfulness(self.run_masks(hard, here), here),
        }

    # --- the optimizer's state --------------------------------------------------------------

    def _expose_optimizer(self) -> None:
        """Put the optimizer's own tensors among `tensors`, so that a step can be undone and a
        checkpoint written without knowing the optimizer. It makes them at its first step.
        """
        before = {name: value.detach().clone() for name, value in self.tensors.items()}
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()
        self._put_back(before)
        momenta = {}
        for index, state in enumerate(self.optimizer.state.values()):
            for name, value in state.items():
                value.zero_()
                momenta[f"optimizer.{index}.{name}"] = value
        self.momenta = frozenset(momenta)
        self.tensors |= momenta
