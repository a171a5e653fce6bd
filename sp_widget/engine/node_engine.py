"""The patched run over the graph of residual-stream nodes.

Notation as in `sp_widget.engine.edge_engine`. Behind a sublayer that reads the stream `r` and
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

from sp_widget.engine.edge_engine import Engine
from sp_widget.engine.patch import ALL_POSITIONS, Patch, Positions
from sp_widget.graph.base_graph import DestModule
from sp_widget.graph.edge_graph import Graph
from sp_widget.graph.node_graph import NodeGraph
from sp_widget.models.architecture import Architecture, RunInputs
from sp_widget.models.nodes import Attention, AttentionInputs, Block

_STREAM_COPIES = 3
"""Tensors of the residual stream's size that autograd keeps of a block."""


class NodeEngine:
    """Runs one model, patched node by node; the interface is that of `Engine`."""

    def __init__(self, architecture: Architecture, graph: NodeGraph) -> None:
        self.architecture = architecture
        self.graph = graph
        # A plain run is the same for both graphs.
        self._edges = Engine(architecture, Graph(architecture.shapes))

    def on(self, model: Any) -> NodeEngine:
        """The same graph on a copy of the model."""
        return NodeEngine(Architecture(model, separate_qkv=True), self.graph)

    @torch.no_grad()
    def source_outputs(self, run: RunInputs) -> Float[Tensor, "sources batch seq d_model"]:
        """What every source writes, or is as a stream, when nothing is patched."""
        outputs, _, _ = self.plain(run)
        return outputs

    @torch.no_grad()
    def plain(self, run: RunInputs) -> tuple[Tensor, Tensor, Tensor]:
        """A plain run through the nodes: source outputs, the stream at each read, logits."""
        outputs, reads, logits = self._edges.plain(run)
        by_name = {s.name: out for s, out in zip(self._edges.graph.srcs, outputs, strict=True)}
        for index in range(len(self.architecture.blocks)):
            by_name[f"Resid Mid {index}"] = reads[2 * index + 1]
            by_name[f"Resid Post {index}"] = reads[2 * index + 2]
        return torch.stack([by_name[src.name] for src in self.graph.srcs]), reads, logits

    def patch(self, sources: Float[Tensor, "sources batch seq d_model"]) -> Patch:
        """Prepare patch activations for `run`: nothing else is needed of them."""
        return Patch(sources, sources.new_empty(0, *sources.shape[1:]))

    @property
    def patch_streams(self) -> int:
        """How many residual streams a patch holds."""
        return len(self.graph.srcs)

    def runs_at_once(self, inputs: RunInputs) -> int:
        """One: `run` takes the prompts of the patch once."""
        return 1

    def run(
        self,
        masks: Float[Tensor, "n edges"],
        inputs: RunInputs,
        patch: Patch,
        positions: Positions = ALL_POSITIONS,
        recompute: bool = False,
    ) -> Float[Tensor, "batch positions d_vocab"]:
        """Logits with every edge patched by its mask value: see `Engine.run`."""
        self.architecture.unchanged.check()
        self.graph.check_prompts(inputs.embed.shape[1])
        run_block = _rerun_block if recompute else _run_block

        def logits(masks: Tensor) -> Tensor:
            split = self.graph.split(masks if self.graph.seq_len else masks.unsqueeze(1))
            stream = inputs.embed
            for block, given, modules in zip(
                self.architecture.blocks, inputs.attention, self.graph.blocks, strict=True
            ):
                # The blocks of a model may be on several devices.
                stream = stream.to(block.device)
                sublayers = [
                    _Sublayer(split[m.name].to(stream), patch.sources[_slice(m)].to(stream))
                    for m in modules
                ]
                stream = run_block(block, stream, given, sublayers)
            return self.architecture.unembed(stream[:, positions].to(inputs.embed.device))

        result: Tensor = _MasksOnly.apply(masks, logits)  # type: ignore[no-untyped-call]
        return result

    def run_bytes(self, embed: Float[Tensor, "batch seq d_model"], recompute: bool) -> int:
        """About how many bytes a differentiable run takes beside its inputs: rather more."""
        batch, seq, d_model = embed.shape
        # Measured: half of the most that the nodes of a block keep, and the streams between them.
        inside = [n // 2 + _STREAM_COPIES * d_model for n in self._edges.kept_inside(seq)]
        kept = max(inside) + len(inside) * d_model if recompute else sum(inside)
        # The gradient of the stream comes from every head's queries, keys and values at once.
        rows = max(len(block.attention.project_in.weight) for block in self.architecture.blocks)
        return batch * seq * (kept + rows * d_model) * embed.element_size()


def _slice(module: DestModule) -> slice:
    return slice(module.srcs.start, module.srcs.stop)


class _Sublayer(NamedTuple):
    """The edges into the stream behind a sublayer: first its stream, then what it writes."""

    masks: Float[Tensor, "n positions sources"]
    """`n`: one row a prompt, or one for all. `positions`: one each, or one for all."""
    patched: Float[Tensor, "sources batch seq d_model"]

    def kept(self, sources: slice) -> Float[Tensor, "n positions some"]:
        """How much is kept of what some sources write now."""
        return 1 - self.masks[..., sources]

    def behind(
        self,
        stream: Float[Tensor, "batch seq d_model"],
        written: Float[Tensor, "batch seq d_model"],
    ) -> Float[Tensor, "batch seq d_model"]:
        """The stream behind the sublayer. `written`: biases, and what is kept of each source."""
        patched = torch.einsum("bts,sbtd->btd", self.masks, self.patched)
        return self.kept(slice(1)) * stream + written + patched


def _run_block(
    block: Block,
    stream: Float[Tensor, "batch seq d_model"],
    given: AttentionInputs,
    sublayers: list[_Sublayer],
) -> Float[Tensor, "batch seq d_model"]:
    """The stream behind a block."""
    first, last = sublayers[0], sublayers[-1]
    n_written = 1 if block.attention.post_norm is not None else block.attention.n_heads
    written = _attend(block.attention, stream, given, first.kept(slice(1, 1 + n_written)))
    if block.mlp is not None and block.parallel:
        written = written + first.kept(slice(-1, None)) * block.mlp(stream)
    stream = first.behind(stream, written)
    if block.mlp is None or block.parallel:
        return stream
    return last.behind(stream, last.kept(slice(1, None)) * block.mlp(stream))


def _rerun_block(*arguments: Any) -> Float[Tensor, "batch seq d_model"]:
    """`_run_block`, which runs again in the backward pass: nothing inside it is kept."""
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
    """What attention writes when only so much is kept of each head, or of their normed sum.

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
