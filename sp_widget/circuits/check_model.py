"""The invariants of edge patching, checked on the user's own model and prompts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sp_widget.circuits.ablations import prompts
from sp_widget.circuits.arguments import check_model_and_prompts
from sp_widget.data.prompts import PromptDataLoader, PromptPairBatch
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.engine.protocol import ALL_POSITIONS, Engine, Patch, Positions
from sp_widget.errors import ModelCheckError
from sp_widget.methods.mask_functions import mask_values
from sp_widget.models.architecture import RunInputs, tolerance
from sp_widget.types import MaskFn

_STEP = 1e-5


@dataclass(frozen=True)
class ModelCheck:
    """How far a model is from each invariant: the largest relative deviation of each.

    A deviation is the largest absolute difference over the larger tensor's largest entry.
    """

    sources_sum: float
    """Sources and output biases against the residual stream that each block reads."""
    no_edge_patched: float
    """Logits with all masks 0 against the plain run on the same prompts."""
    all_edges_patched: float
    """Logits with all masks 1 against the plain run on the other prompts of the pairs."""
    gradients: dict[str, float]
    """Mask function to the derivative of the loss along a random direction, against a central
    difference in float64."""
    tolerance: float
    """What each of the first three may be."""
    gradient_tolerance: float = 1e-5
    """What each of `gradients` may be."""

    @property
    def failures(self) -> list[str]:
        """The invariants that do not hold."""
        names = ("sources_sum", "no_edge_patched", "all_edges_patched")
        # `not <=` rather than `>`: NaN fails.
        failed = [n for n in names if not getattr(self, n) <= self.tolerance]
        failed += [
            f"gradients[{name}]"
            for name, deviation in self.gradients.items()
            if not deviation <= self.gradient_tolerance
        ]
        return failed


def check_model(model: PatchableModel, dataloader: PromptDataLoader) -> ModelCheck:
    """Check the invariants of edge patching on the first batch of `dataloader`.

    1. Sources and output biases sum to the residual stream entering every block.
    2. All masks 0 give the logits of the plain run on the input; all masks 1, with resample
       ablation, those of the plain run on the other prompts.
    3. Gradients with respect to the masks match finite differences in float64.

    The runs are those of a training: every prompt has masks, and logits are asked for at
    `model.out_slice`. The third makes a float64 copy of the model. Positions that are padding do
    not count.

    Raises `ModelCheckError`, which carries the `ModelCheck`, when an invariant does not hold, and
    `ModelChangedError` when a weight has changed since the model was made patchable.
    """
    check_model_and_prompts(model, dataloader)
    batch = next(iter(dataloader))
    engine, architecture = model.engine, model.engine.architecture
    model.check_unchanged()
    with torch.no_grad():
        corrupt, corrupt_logits = architecture.run_inputs(*prompts(batch, "corrupt"))
        clean, clean_logits = architecture.run_inputs(*prompts(batch, "clean"))
        _, reads, _ = engine.plain(corrupt)
        patch = engine.patch(engine.source_outputs(clean))
        calls, _ = architecture.captured(*prompts(batch, "corrupt"))
        n_prefix = 0 if batch.prefix is None else len(batch.prefix)
        streams = torch.stack(calls.streams)[:, :, n_prefix:]
    real_corrupt = _real_positions(batch.corrupt_attention_mask, corrupt.embed)
    # With all edges patched the attention pattern still belongs to the corrupt prompt's
    # padding, so only prompts that are padded alike can be compared.
    real_clean = _real_positions(batch.clean_attention_mask, clean.embed)
    alike = (real_clean == real_corrupt).all(1, keepdim=True)

    @torch.no_grad()
    def deviation(mask_value: float, expected: Tensor, counts: Tensor) -> float:
        """Of the logits with all masks at one value, where tokens count; at all positions, and as
        a training asks for them: only where the model's output is looked at."""
        masks = corrupt.embed.new_full((len(corrupt.embed), model.n_edges), mask_value)
        return max(
            _deviation(
                engine.run(masks, corrupt, patch, at)[counts[:, at]], expected[:, at][counts[:, at]]
            )
            for at in (ALL_POSITIONS, model.out_positions)
        )

    check = ModelCheck(
        sources_sum=_deviation(reads[0:-1:2][:, real_corrupt], streams[:, real_corrupt]),
        no_edge_patched=deviation(0, corrupt_logits, real_corrupt),
        all_edges_patched=deviation(1, clean_logits, real_clean & alike),
        gradients=_gradient_deviations(model, batch),
        tolerance=tolerance(corrupt.embed.dtype),
    )
    if check.failures:
        raise ModelCheckError(check)
    return check


def _deviation(a: Tensor, b: Tensor) -> float:
    if a.numel() == 0:
        return 0.0
    size = max(a.abs().max().item(), b.abs().max().item(), 1e-12)
    return (a - b).abs().max().item() / size


def _real_positions(attention_mask: Tensor | None, embed: Tensor) -> Tensor:
    """`[batch, seq]`, `True` at tokens that are not padding."""
    if attention_mask is None:
        return torch.ones(embed.shape[:2], dtype=torch.bool, device=embed.device)
    return attention_mask.bool()


def _gradient_deviations(model: PatchableModel, batch: PromptPairBatch) -> dict[str, float]:
    engine = model.engine.on(model.engine.architecture.copy_of_model(torch.float64))
    with torch.no_grad():
        inputs, _ = engine.architecture.run_inputs(*prompts(batch, "corrupt"))
        clean, _ = engine.architecture.run_inputs(*prompts(batch, "clean"))
        patch = engine.patch(engine.source_outputs(clean))
    functions: tuple[MaskFn, ...] = (None, "sigmoid", "hard_concrete")
    at = model.out_positions
    return {str(fn): _gradient_deviation(engine, inputs, patch, at, fn) for fn in functions}


def _gradient_deviation(
    engine: Engine, inputs: RunInputs, patch: Patch, positions: Positions, mask_fn: MaskFn
) -> float:
    """The derivative along a random direction, from the gradient and from two loss values."""
    device = inputs.embed.device
    n_edges, n_prompts = engine.graph.n_edges, inputs.embed.shape[0]
    draw = torch.Generator(device).manual_seed(0)

    def normal(n: int) -> Tensor:
        return torch.randn(n, generator=draw, device=device, dtype=torch.float64)

    theta, direction = normal(n_edges), normal(n_edges)
    weights: Tensor | None = None

    def loss(at: Tensor) -> Tensor:
        nonlocal weights
        # The same draw of the hard concrete at every point, so that the loss is a function.
        same = torch.Generator(device).manual_seed(1)
        masks = mask_values(at, mask_fn, n_prompts, same)
        logits = engine.run(masks, inputs, patch, positions)
        if weights is None:
            weights = normal(logits.numel()).view_as(logits)
        return (logits * weights).sum()

    at = theta.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(at), at)
    with torch.no_grad():
        ahead, behind = loss(theta + _STEP * direction), loss(theta - _STEP * direction)
    numeric = ((ahead - behind) / (2 * _STEP)).item()
    analytic = (gradient @ direction).item()
    return abs(numeric - analytic) / max(abs(numeric), abs(analytic), 1e-12)
