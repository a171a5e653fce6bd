"""One block of a patched run, from the streams that its destinations read; forward and backward.

Inside a block ordinary autograd; what masks multiply, between blocks, is `patched_run`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.engine.buffers import pieces
from sp_widget.models.architecture import Architecture
from sp_widget.models.nodes import Attention, AttentionInputs, Block

_MLP_COPIES = 8
"""Tensors of the MLP's hidden size that autograd keeps at most."""


@dataclass(frozen=True)
class BlockTape:
    """What the backward pass through a block needs, beside its streams."""

    saved: tuple[Tensor, ...]
    """Of the projection."""
    projected: Float[Tensor, "rows tokens d_out"]
    """Queries, keys and values: where the graph of attention starts."""
    mixed: Tensor
    """What attention wrote, before its output projection: where that graph ends."""
    mlp_in: Float[Tensor, "batch positions d_model"] | None = None
    mlp_out: Float[Tensor, "batch positions d_model"] | None = None


def attend(
    block: Block,
    streams: Float[Tensor, "rows batch seq d_model"],
    given: AttentionInputs,
    graph: bool,
) -> BlockTape:
    """Run attention up to what its heads mix, with an autograd graph if asked for."""
    attention, batch = block.attention, streams.shape[1]
    projected, saved = attention.project_in.forward(streams.flatten(1, 2).to(block.device))
    with torch.set_grad_enabled(graph):
        projected.requires_grad_(graph)
        mixed = attention.mix(projected, batch, given)
        if attention.post_norm is not None:
            mixed = attention.post_norm(heads_together(mixed, attention, batch))
    return BlockTape(saved, projected, mixed)


def heads_together(
    z: Float[Tensor, "heads tokens d_head"], attention: Attention, batch: int
) -> Float[Tensor, "batch seq d_model"]:
    """Return what all heads write, and the bias of attention."""
    out: Tensor = torch.bmm(z, attention.w_out).sum(0).unflatten(0, (batch, -1))
    return out if attention.b_out is None else out + attention.b_out


def written_by_attention(
    block: Block, tape: BlockTape, scratch: Float[Tensor, " numbers"]
) -> Iterator[tuple[slice, Float[Tensor, "sources tokens d_model"]]]:
    """Yield what the sources of attention write, as many at a time as `scratch` holds: which of
    them, and their values, which those of the next ones overwrite."""
    mixed, w_out = tape.mixed.detach(), block.attention.w_out
    if block.attention.post_norm is not None:
        yield slice(0, 1), mixed.flatten(0, 1).unsqueeze(0)
        return
    n_tokens, d_model = mixed.shape[1], w_out.shape[2]
    for heads in pieces(len(mixed), len(scratch) // (n_tokens * d_model)):
        shape = (heads.stop - heads.start, n_tokens, d_model)
        out = scratch[: shape[0] * n_tokens * d_model].view(shape)
        yield heads, torch.bmm(mixed[heads], w_out[heads], out=out)


def with_mlp(
    block: Block, tape: BlockTape, stream: Float[Tensor, "batch positions d_model"], graph: bool
) -> BlockTape:
    """Run the MLP of a block, if it has one, and add it to the tape."""
    if block.mlp is None:
        return tape
    with torch.set_grad_enabled(graph):
        # `data`, as autograd counts changes of the whole buffer: other blocks write to it.
        # Contiguous, where only some positions are wanted: some MLPs take views of it.
        mlp_in = stream.data.to(block.device).contiguous().requires_grad_(graph)
        return replace(tape, mlp_in=mlp_in, mlp_out=block.mlp(mlp_in))


def mlp_backward(
    block: Block, tape: BlockTape, grad_out: Float[Tensor, "batch positions d_model"]
) -> Float[Tensor, "batch positions d_model"]:
    """Return the gradient of what the MLP reads, from that of what it writes."""
    assert tape.mlp_in is not None
    assert tape.mlp_out is not None
    (grad_in,) = torch.autograd.grad(tape.mlp_out, tape.mlp_in, grad_out.to(block.device))
    return grad_in


def attention_backward_in_place(
    block: Block,
    tape: BlockTape,
    streams: Float[Tensor, "rows batch seq d_model"],
    grad_out: Float[Tensor, "sources batch seq d_model"],
    scratch: Float[Tensor, " numbers"],
) -> None:
    """Overwrite the streams that attention reads with their gradients, from those of what it
    writes. `scratch`: see `NormedLinear.backward_in_place`."""
    attention, mixed = block.attention, tape.mixed
    grad_mixed = grad_out.flatten(1, 2).to(block.device)
    if attention.post_norm is None:
        grad_mixed = torch.bmm(grad_mixed, attention.w_out.transpose(1, 2))
    (grad_projected,) = torch.autograd.grad(mixed, tape.projected, grad_mixed.view_as(mixed))
    flat = streams.flatten(1, 2)
    x = flat.to(block.device)
    projected = tape.projected.detach()
    attention.project_in.backward_in_place(x, projected, tape.saved, grad_projected, scratch)
    if x is not flat:
        flat.copy_(x)


def numbers_on_tapes(architecture: Architecture, seq: int) -> list[int]:
    """Return how many numbers a token autograd keeps inside the nodes of each block, at most."""
    return [
        4 * block.attention.project_in.bias.numel()
        + 4 * block.attention.n_heads * seq
        + _MLP_COPIES * (architecture.d_mlp if block.mlp is not None else 0)
        for block in architecture.blocks
    ]
