"""One block of a patched run, from the streams that its destinations read; and back.

Inside a block ordinary autograd; what masks multiply, between blocks, is `patched_run`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.models.nodes import Attention, AttentionInputs, Block
from sp_widget.models.scratch import Scratch, pieces


@dataclass(frozen=True)
class BlockTape:
    """What the way back through a block needs, beside its streams."""

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
    """Attention up to what its heads mix, with an autograd graph if asked for."""
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
    """What all heads write, and the bias of attention."""
    out: Tensor = torch.bmm(z, attention.w_out).sum(0).unflatten(0, (batch, -1))
    return out if attention.b_out is None else out + attention.b_out


def written_by_attention(
    block: Block, tape: BlockTape, scratch: Scratch
) -> Iterator[tuple[slice, Float[Tensor, "sources tokens d_model"]]]:
    """What the sources of attention write, as many at a time as `scratch` holds: which of them,
    and their values, which those of the next ones overwrite."""
    mixed, w_out = tape.mixed.detach(), block.attention.w_out
    if block.attention.post_norm is not None:
        yield slice(0, 1), mixed.flatten(0, 1).unsqueeze(0)
        return
    n_tokens, d_model = mixed.shape[1], w_out.shape[2]
    for heads in pieces(len(mixed), scratch.size // (n_tokens * d_model)):
        out = scratch.view(torch.Size((heads.stop - heads.start, n_tokens, d_model)))
        yield heads, torch.bmm(mixed[heads], w_out[heads], out=out)


def with_mlp(
    block: Block, tape: BlockTape, stream: Float[Tensor, "batch positions d_model"], graph: bool
) -> BlockTape:
    """The tape of a block with that of its MLP, if it has one."""
    if block.mlp is None:
        return tape
    with torch.set_grad_enabled(graph):
        # `data`, as autograd counts changes of the whole buffer: other blocks write to it.
        # Contiguous, where only some positions are wanted: some MLPs take views of it.
        mlp_in = stream.data.to(block.device).contiguous().requires_grad_(graph)
        return replace(tape, mlp_in=mlp_in, mlp_out=block.mlp(mlp_in))


def back_through_mlp(
    block: Block, tape: BlockTape, grad: Float[Tensor, "batch positions d_model"]
) -> Float[Tensor, "batch positions d_model"]:
    """The gradient of what the MLP reads, from that of what it writes."""
    assert tape.mlp_in is not None
    assert tape.mlp_out is not None
    (grad_in,) = torch.autograd.grad(tape.mlp_out, tape.mlp_in, grad.to(block.device))
    return grad_in


def back_through_attention(
    block: Block,
    tape: BlockTape,
    grad: Float[Tensor, "sources batch seq d_model"],
    streams: Float[Tensor, "rows batch seq d_model"],
    scratch: Scratch,
) -> None:
    """Turn the streams that attention reads into their gradients, in place, from those of what it
    writes. `scratch`: see `NormedLinear.backward`."""
    attention, mixed = block.attention, tape.mixed
    grad_mixed = grad.flatten(1, 2).to(block.device)
    if attention.post_norm is None:
        grad_mixed = torch.bmm(grad_mixed, attention.w_out.transpose(1, 2))
    (grad_projected,) = torch.autograd.grad(mixed, tape.projected, grad_mixed.view_as(mixed))
    flat = streams.flatten(1, 2)
    x = flat.to(block.device)
    attention.project_in.backward(grad_projected, x, tape.projected.detach(), tape.saved, scratch)
    if x is not flat:
        flat.copy_(x)
