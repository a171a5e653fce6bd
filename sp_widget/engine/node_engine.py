"""The patched run over the graph of residual-stream nodes.

Notation as in `sp_widget.engine.patched_run`. Behind a sublayer that reads the stream `r` and
writes `c_s`, the stream is replaced by

    x = r + sum_s c_s + b + m_0 (a_0 - r) + sum_s m_s (a_s - c_s)

where `a_0` is the patch activation of the stream itself. Everything behind it reads `x`, so this
is a plain run with a few scaled differences, and autograd goes through it as it does there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sp_widget.engine.block_run import heads_together, numbers_on_tapes
from sp_widget.engine.plain_run import observe_plain_run, plain_run
from sp_widget.engine.protocol import ALL_POSITIONS, ObservedBlock, Patch, Positions
from sp_widget.graph.base_graph import DestModule
from sp_widget.graph.edge_graph import Graph
from sp_widget.graph.node_graph import NodeGraph
from sp_widget.models.architecture import Architecture, RunInputs
from sp_widget.models.nodes import Attention, AttentionInputs, Block

_STREAM_COPIES = 3
"""Tensors of the residual stream's size that autograd keeps of a block."""


class NodeEngine:
    """The `Engine` that patches node by node."""

    def __init__(self, architecture: Architecture, graph: NodeGraph) -> None:
        self.architecture = architecture
        self.graph = graph
        self._edge_graph = Graph(architecture.shapes)

    def on(self, model: Any) -> NodeEngine:
        """Return an engine with the same graph for a copy of the model."""
        return NodeEngine(Architecture(model, separate_qkv=True), self.graph)

    @torch.no_grad()
    def plain(self, inputs: RunInputs) -> tuple[Tensor, Tensor, Tensor]:
        """Run every node unpatched: return source outputs, the stream at each read, logits."""
        # The same as for edges; and the streams between sublayers are sources.
        outputs, reads, logits = plain_run(self.architecture, self._edge_graph, inputs)
        by_name = {s.name: out for s, out in zip(self._edge_graph.srcs, outputs, strict=True)}
        for index in range(len(self.architecture.blocks)):
            by_name[f"Resid Mid {index}"] = reads[2 * index + 1]
            by_name[f"Resid Post {index}"] = reads[2 * index + 2]
        return torch.stack([by_name[src.name] for src in self.graph.srcs]), reads, logits

    def source_outputs(self, inputs: RunInputs) -> Float[Tensor, "sources batch seq d_model"]:
        """Return what every source writes, or is as a stream, when nothing is patched."""
        outputs, _, _ = self.plain(inputs)
        return outputs

    @torch.no_grad()
    def observe_plain(self, inputs: RunInputs, block: int) -> ObservedBlock:
        """Run every node unpatched: return what those of a block read and wrote."""
        return observe_plain_run(self.architecture, self._edge_graph, inputs, block)

    def patch(self, sources: Float[Tensor, "sources batch seq d_model"]) -> Patch:
        """Prepare patch activations for `run`: nothing else is needed of them."""
        return Patch(sources, sources.new_empty(0, *sources.shape[1:]))

    @property
    def patch_streams(self) -> int:
        """Return how many residual streams a patch holds."""
        return len(self.graph.srcs)

    def runs_at_once(self, inputs: RunInputs) -> int:
        """Return 1: `run` takes the prompts of the patch once."""
        return 1

    def run(
        self,
        masks: Float[Tensor, "n edges"],
        inputs: RunInputs,
        patch: Patch,
        positions: Positions = ALL_POSITIONS,
        recompute: bool = False,
    ) -> Float[Tensor, "batch positions d_vocab"]:
        """Return the logits with every edge patched by its mask value: see `Engine.run`."""
        self.graph.check_prompts(inputs.embed.shape[1])
        blocks = range(len(self.architecture.blocks))

        def logits(masks: Tensor) -> Tensor:
            stream = self._through(blocks, inputs.embed, masks, inputs, patch, recompute)
            return self.architecture.unembed(stream[:, positions].to(inputs.embed.device))

        result: Tensor = _MasksOnly.apply(masks, logits)  # type: ignore[no-untyped-call]
        return result

    @torch.no_grad()
    def observe(
        self, masks: Float[Tensor, "n edges"], inputs: RunInputs, patch: Patch, block: int
    ) -> ObservedBlock:
        """Return what the nodes of a block read and wrote in the run that `run` makes of these."""
        self.graph.check_prompts(inputs.embed.shape[1])
        n_blocks = len(self.architecture.blocks)
        stream = self._through(range(block), inputs.embed, masks, inputs, patch)
        end = self._through(range(block, n_blocks), stream, masks, inputs, patch)
        nodes, given = self.architecture.blocks[block], inputs.attention[block]
        stream = stream.to(nodes.device)
        first = self._sublayers(block, self._split(masks), stream, patch)[0]
        return ObservedBlock(
            attention_reads=stream.unsqueeze(0),
            attention_writes=_attention_writes(nodes.attention, stream, given),
            mlp_writes=None
            if nodes.mlp is None
            else nodes.mlp(_mlp_reads(nodes, stream, given, first)),
            end=end.to(inputs.embed.device),
        )

    def resumable(
        self,
        masks: Float[Tensor, " edges"],
        inputs: RunInputs,
        patch: Patch,
        positions: Positions = ALL_POSITIONS,
    ) -> ResumableNodeRun:
        """Return a run whose last blocks can be run again with other masks: see `Engine`."""
        self.graph.check_prompts(inputs.embed.shape[1])
        return ResumableNodeRun(self, masks, inputs, patch, positions)

    def _through(
        self,
        blocks: range,
        stream: Float[Tensor, "batch seq d_model"],
        masks: Float[Tensor, "n edges"],
        inputs: RunInputs,
        patch: Patch,
        recompute: bool = False,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Return the stream behind these blocks from the one before them."""
        self.architecture.unchanged.check()
        split = self._split(masks)
        run_block = _rerun_block if recompute else _run_block
        for index in blocks:
            block = self.architecture.blocks[index]
            # The blocks of a model may be on several devices.
            stream = stream.to(block.device)
            sublayers = self._sublayers(index, split, stream, patch)
            stream = run_block(block, stream, inputs.attention[index], sublayers)
        return stream

    def _split(self, masks: Float[Tensor, "n edges"]) -> dict[str, Tensor]:
        """Return the masks of each destination module, `[n, positions or 1, sources]`."""
        return self.graph.split(masks if self.graph.seq_len else masks.unsqueeze(1))

    def _sublayers(
        self, index: int, split: dict[str, Tensor], stream: Tensor, patch: Patch
    ) -> list[_Sublayer]:
        """Return the edges into the streams behind the sublayers of a block."""
        return [
            _Sublayer(split[m.name].to(stream), patch.sources[_slice(m)].to(stream))
            for m in self.graph.blocks[index]
        ]

    def run_bytes(self, embed: Float[Tensor, "batch seq d_model"], recompute: bool) -> int:
        """Estimate the bytes that a differentiable run takes beside its inputs, rather too high."""
        batch, seq, d_model = embed.shape
        # Measured: half of the most that the nodes of a block keep, and the streams between them.
        inside = [
            n // 2 + _STREAM_COPIES * d_model for n in numbers_on_tapes(self.architecture, seq)
        ]
        kept = max(inside) + len(inside) * d_model if recompute else sum(inside)
        # The gradient of the stream comes from every head's queries, keys and values at once.
        rows = max(len(block.attention.project_in.weight) for block in self.architecture.blocks)
        return batch * seq * (kept + rows * d_model) * embed.element_size()


class ResumableNodeRun:
    """The `ResumableRun` of the node engine.

    All that a block needs of those before it is the stream that enters it.
    """

    def __init__(
        self,
        engine: NodeEngine,
        masks: Float[Tensor, " edges"],
        inputs: RunInputs,
        patch: Patch,
        positions: Positions,
    ) -> None:
        self._engine, self._masks = engine, masks.detach()
        self._inputs, self._patch, self._positions = inputs, patch, positions
        self._streams = [inputs.embed]
        """What enters each block, and what leaves the last one, as far as they were run."""

    @torch.no_grad()
    def run(self, masks: Float[Tensor, "n edges"]) -> Float[Tensor, "n batch positions d_vocab"]:
        """Return the logits with each of these rows of masks, one run after the other."""
        return torch.stack([self._run(row) for row in masks])

    def _run(self, masks: Float[Tensor, " edges"]) -> Float[Tensor, "batch positions d_vocab"]:
        first, n_blocks = self._first_block(masks), len(self._engine.architecture.blocks)
        for block in range(len(self._streams) - 1, first):
            self._streams.append(self._through(range(block, block + 1), self._masks))
        end = self._through(range(first, n_blocks), masks)[:, self._positions]
        return self._engine.architecture.unembed(end.to(self._inputs.embed.device))

    def keep(self, masks: Float[Tensor, " edges"]) -> None:
        """Let the next runs start from these masks; runs no block until one of them needs it."""
        del self._streams[self._first_block(masks) + 1 :]
        self._masks = masks.detach()

    def _through(self, blocks: range, masks: Float[Tensor, " edges"]) -> Tensor:
        stream = self._streams[blocks.start]
        return self._engine._through(blocks, stream, masks.unsqueeze(0), self._inputs, self._patch)

    def _first_block(self, masks: Float[Tensor, " edges"]) -> int:
        """Return the first block with other masks than those that are kept."""
        ours, kept = self._engine.graph.split(masks), self._engine.graph.split(self._masks)
        for index, modules in enumerate(self._engine.graph.blocks):
            if any(not torch.equal(ours[m.name], kept[m.name]) for m in modules):
                return index
        return len(self._engine.graph.blocks)


def _slice(module: DestModule) -> slice:
    return slice(module.srcs.start, module.srcs.stop)


class _Sublayer(NamedTuple):
    """The edges into the stream behind a sublayer: first its stream, then what it writes."""

    masks: Float[Tensor, "n positions sources"]
    """`n`: one row a prompt, or one for all. `positions`: one each, or one for all."""
    patched: Float[Tensor, "sources batch seq d_model"]

    def kept(self, sources: slice) -> Float[Tensor, "n positions some"]:
        """Return how much is kept of what some sources write now."""
        return 1 - self.masks[..., sources]

    def behind(
        self,
        stream: Float[Tensor, "batch seq d_model"],
        written: Float[Tensor, "batch seq d_model"],
    ) -> Float[Tensor, "batch seq d_model"]:
        """Return the stream behind the sublayer. `written`: biases, and what is kept of sources."""
        patched = torch.einsum("bts,sbtd->btd", self.masks, self.patched)
        return self.kept(slice(1)) * stream + written + patched


def _run_block(
    block: Block,
    stream: Float[Tensor, "batch seq d_model"],
    given: AttentionInputs,
    sublayers: list[_Sublayer],
) -> Float[Tensor, "batch seq d_model"]:
    """Return the stream behind a block."""
    first, last = sublayers[0], sublayers[-1]
    if block.mlp is not None and block.parallel:
        written = _kept_attention(block.attention, stream, given, first)
        written = written + first.kept(slice(-1, None)) * block.mlp(stream)
        return first.behind(stream, written)
    stream = _behind_attention(block.attention, stream, given, first)
    if block.mlp is None:
        return stream
    return last.behind(stream, last.kept(slice(1, None)) * block.mlp(stream))


def _mlp_reads(
    block: Block,
    stream: Float[Tensor, "batch seq d_model"],
    given: AttentionInputs,
    first: _Sublayer,
) -> Float[Tensor, "batch seq d_model"]:
    """Return the stream that the MLP of a block reads, from the one that enters the block."""
    return stream if block.parallel else _behind_attention(block.attention, stream, given, first)


def _behind_attention(
    attention: Attention,
    stream: Float[Tensor, "batch seq d_model"],
    given: AttentionInputs,
    first: _Sublayer,
) -> Float[Tensor, "batch seq d_model"]:
    """Return the stream behind attention, where the MLP is no part of the same sublayer."""
    return first.behind(stream, _kept_attention(attention, stream, given, first))


def _kept_attention(
    attention: Attention,
    stream: Float[Tensor, "batch seq d_model"],
    given: AttentionInputs,
    first: _Sublayer,
) -> Float[Tensor, "batch seq d_model"]:
    """Return what is kept of what attention writes, and its bias."""
    n_written = 1 if attention.post_norm is not None else attention.n_heads
    return _attend(attention, stream, given, first.kept(slice(1, 1 + n_written)))


def _attention_writes(
    attention: Attention, stream: Float[Tensor, "batch seq d_model"], given: AttentionInputs
) -> Float[Tensor, "sources batch seq d_model"]:
    """Return what each head writes, or all of them together where a norm mixes them."""
    batch, _, d_model = stream.shape
    projected, _ = attention.project_in.forward(stream.reshape(1, -1, d_model))
    mixed = attention.mix(projected, batch, given)
    if attention.post_norm is None:
        return torch.bmm(mixed, attention.w_out).view(-1, *stream.shape)
    together = heads_together(mixed, attention, batch)
    written: Tensor = attention.post_norm(together)
    return written.unsqueeze(0)


def _rerun_block(*arguments: Any) -> Float[Tensor, "batch seq d_model"]:
    """Do `_run_block`, and again in the backward pass: nothing inside it is kept."""
    stream: Tensor = checkpoint(
        _run_block, *arguments, use_reentrant=False, preserve_rng_state=False
    )
    return stream


def _attend(
    attention: Attention,
    stream: Float[Tensor, "batch seq d_model"],
    given: AttentionInputs,
    kept: Float[Tensor, "n positions sources"],
) -> Float[Tensor, "batch seq d_model"]:
    """Return what attention writes when only so much is kept of each head, or of their normed sum.

    A head's result is linear in what it mixes, so it need not be made for each head alone.
    """
    batch, seq, d_model = stream.shape
    projected, _ = attention.project_in.forward(stream.reshape(1, -1, d_model))
    mixed = attention.mix(projected, batch, given).unflatten(1, (batch, seq))
    if attention.post_norm is None:
        mixed = mixed * kept.movedim(-1, 0).unsqueeze(-1)
    out = mixed.movedim(0, -2).flatten(-2) @ attention.w_out.flatten(0, 1)
    if attention.b_out is not None:
        out = out + attention.b_out
    return out if attention.post_norm is None else kept * attention.post_norm(out)


class _MasksOnly(torch.autograd.Function):
    """A run as a function of its masks: no parameter of the model gets a gradient."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, masks: Tensor, run: Callable[[Tensor], Tensor]
    ) -> Tensor:
        needs_grad = ctx.needs_input_grad[0]  # type: ignore[attr-defined]
        with torch.set_grad_enabled(needs_grad):
            inner = masks.detach().requires_grad_(needs_grad)
            out = run(inner)
        ctx.ends = (inner, out)  # type: ignore[attr-defined]
        return out.detach()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad_out: Tensor) -> tuple[Tensor, None]:
        inner, out = ctx.ends  # type: ignore[attr-defined]
        (grad,) = torch.autograd.grad(out, inner, grad_out)
        return grad, None
