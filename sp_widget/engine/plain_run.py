"""Run a model through its nodes with nothing patched, and make a patch of what they write."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.engine.block_run import heads_together
from sp_widget.engine.protocol import ObservedBlock, Patch
from sp_widget.graph.edge_graph import Graph
from sp_widget.models.architecture import Architecture, RunInputs
from sp_widget.models.nodes import Attention


def plain_run(
    architecture: Architecture, graph: Graph, inputs: RunInputs
) -> tuple[
    Float[Tensor, "sources batch seq d_model"],
    Float[Tensor, "reads batch seq d_model"],
    Float[Tensor, "batch seq d_vocab"],
]:
    """Return what every source writes, the stream at each read, and the logits.

    Reads: two for each block (attention, MLP), then `Resid End`.
    """
    batch, _, d_model = inputs.embed.shape
    outputs = inputs.embed.new_empty(len(graph.srcs), *inputs.embed.shape)
    outputs[0] = resid = inputs.embed
    reads = []
    for block, span, given in zip(architecture.blocks, graph.spans, inputs.attention, strict=True):
        attention = block.attention
        reads.append(resid)
        x = resid.to(block.device).reshape(1, -1, d_model)  # the same for all destinations
        z = attention.mix(attention.project_in.forward(x)[0], batch, given)
        written = outputs[span.attn_srcs.start : span.attn_srcs.stop]
        if attention.post_norm is None:
            written.view(len(written), -1, d_model).copy_(torch.bmm(z, attention.w_out))
        else:
            written[0] = attention.post_norm(heads_together(z, attention, batch))
        after = _after_attention(resid, written, attention)
        reads.append(resid if block.parallel else after)
        if block.mlp is not None and span.mlp_src is not None:
            outputs[span.mlp_src] = block.mlp(reads[-1].to(block.device))
            after = after + outputs[span.mlp_src]
        resid = after
    reads.append(resid)
    return outputs, torch.stack(reads), architecture.unembed(resid)


def observe_plain_run(
    architecture: Architecture, graph: Graph, inputs: RunInputs, block: int
) -> ObservedBlock:
    """Return what the nodes of a block read and write when nothing is patched."""
    outputs, reads, _ = plain_run(architecture, graph, inputs)
    span = graph.spans[block]
    return ObservedBlock(
        attention_reads=reads[2 * block : 2 * block + 1],
        attention_writes=outputs[span.attn_srcs.start : span.attn_srcs.stop],
        mlp_writes=None if span.mlp_src is None else outputs[span.mlp_src],
        end=reads[-1],
    )


def patch_of_edges(
    architecture: Architecture,
    graph: Graph,
    sources: Float[Tensor, "sources batch seq d_model"],
) -> Patch:
    """Return the patch of these activations: base_d = sum_s a_s + biases, at each read."""
    bases = []
    resid = sources[0].clone()
    for block, span in zip(architecture.blocks, graph.spans, strict=True):
        bases.append(resid)
        written = sources[span.attn_srcs.start : span.attn_srcs.stop]
        after = _after_attention(resid, written, block.attention)
        bases.append(resid if block.parallel else after)
        if span.mlp_src is not None:
            after = after + sources[span.mlp_src]
        resid = after
    bases.append(resid)
    return Patch(sources, torch.stack(bases))


def _after_attention(resid: Tensor, written: Tensor, attention: Attention) -> Tensor:
    """Return the stream behind attention; its bias belongs to no head."""
    after = resid + written.sum(0)
    if attention.post_norm is None and attention.b_out is not None:
        after = after + attention.b_out.to(resid.device)
    return after
