"""A model whose edges can be patched, and the mode in which calling it patches them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sp_widget.data.prompts import is_whole_number
from sp_widget.engine.edge_engine import EdgeEngine
from sp_widget.engine.node_engine import NodeEngine
from sp_widget.engine.protocol import ALL_POSITIONS, Engine, Patch
from sp_widget.errors import ArgumentError, UnsupportedModelError
from sp_widget.graph.edge_graph import DestNode, Edge, Graph, SrcNode
from sp_widget.graph.node_graph import NodeGraph
from sp_widget.models.architecture import Architecture, is_close
from sp_widget.types import OutputSlice

_SLICES: dict[OutputSlice, tuple[slice, slice | int]] = {
    "last_seq": (slice(None), -1),
    "not_first_seq": (slice(None), slice(1, None)),
    None: (slice(None), slice(None)),
}


class PatchableModel:
    """A TransformerLens model and the graph of its edges; made by `patchable_model`.

    Calling it runs the plain model, or, inside `patch_mode`, the patched one. The model
    itself is never changed: no hook and no flag outlives a call.
    """

    def __init__(
        self,
        wrapped_model: nn.Module,
        architecture: Architecture,
        graph: Graph | NodeGraph,
        slice_output: OutputSlice,
    ) -> None:
        self.wrapped_model: Any = wrapped_model
        self.graph = graph
        self.engine: Engine = (
            EdgeEngine(architecture, graph)
            if isinstance(graph, Graph)
            else NodeEngine(architecture, graph)
        )
        self.slice_output = slice_output
        self.out_slice = _SLICES[slice_output]
        weight = architecture.blocks[0].attention.w_out
        self._masks = weight.new_zeros(graph.n_edges, dtype=torch.float32)
        self.patch_masks: dict[str, Tensor] = graph.split(self._masks)
        """Mask values used inside `patch_mode`, by destination module; edit them in place."""
        self._patch: Patch | None = None

    @property
    def srcs(self) -> list[SrcNode]:
        """All sources, in writing order."""
        return self.graph.srcs

    @property
    def dests(self) -> list[DestNode]:
        """All destinations, in reading order."""
        return self.graph.dests

    @property
    def edges(self) -> set[Edge]:
        """All edges."""
        return self.graph.edges

    @property
    def edge_dict(self) -> dict[int | None, list[Edge]]:
        """Edges by token position (`None` where an edge stands for all positions)."""
        return self.graph.edge_dict

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return self.graph.n_edges

    @property
    def seq_len(self) -> int | None:
        """Prompt length if every token position has its own edges."""
        return self.graph.seq_len

    @property
    def separate_qkv(self) -> bool:
        """Whether a head reads separate streams for its queries, keys and values."""
        return isinstance(self.graph, Graph) and self.graph.separate_qkv

    @property
    def is_factorized(self) -> bool:
        """Whether edges lead to every head and MLP, and not to the residual stream alone."""
        return isinstance(self.graph, Graph)

    @property
    def cfg(self) -> Any:
        """The configuration of the wrapped model."""
        return self.wrapped_model.cfg

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the wrapped model, or `None`."""
        return getattr(self.wrapped_model, "tokenizer", None)

    @property
    def device(self) -> torch.device:
        """Where the model's weights, and so its inputs, live."""
        return self.engine.architecture.blocks[0].attention.w_out.device

    @property
    def out_positions(self) -> slice:
        """The token positions that `out_slice` keeps, as a slice."""
        kept = self.out_slice[1]
        return kept if isinstance(kept, slice) else slice(kept, None)

    def sliced(self, logits: Float[Tensor, "batch positions d_vocab"]) -> Tensor:
        """Logits at `out_positions` in the shape of `logits[out_slice]`."""
        return logits[:, 0] if isinstance(self.out_slice[1], int) else logits

    def __call__(
        self,
        tokens: Int[Tensor, "batch seq"],
        attention_mask: Int[Tensor, "batch seq"] | None = None,
        prefix: Int[Tensor, " prefix"] | None = None,
    ) -> Float[Tensor, "batch seq d_vocab"]:
        """Logits of the model; patched inside `patch_mode`, differentiable in `patch_masks`.

        `prefix`: tokens before those of every prompt (`batch.prefix`); never patched.
        """
        if self._patch is None:
            if prefix is not None:
                tokens = torch.cat((prefix.expand(len(tokens), -1), tokens), dim=1)
            kwargs = {} if attention_mask is None else {"attention_mask": attention_mask}
            logits: Tensor = self.wrapped_model(tokens, **kwargs)
            return logits if prefix is None else logits[:, len(prefix) :]
        inputs, _ = self.engine.architecture.run_inputs(tokens, attention_mask, prefix)
        self._check_fits(inputs.embed)
        masks = self.graph.flatten(self.patch_masks).unsqueeze(0)
        return self.engine.run(masks, inputs, self._patch, ALL_POSITIONS)

    def _check_fits(self, embed: Tensor) -> None:
        assert self._patch is not None
        batch, seq, _ = embed.shape
        have = tuple(self._patch.sources.shape[1:3])
        if have not in ((batch, seq), (1, seq)):
            raise ArgumentError(
                "patch_src_outs",
                f"activations for {batch} prompts of {seq} tokens, like the tokens",
                f"{have[0]} prompts of {have[1]} tokens",
            )

    def __repr__(self) -> str:
        positions = "" if self.seq_len is None else f" at {self.seq_len} positions"
        # A checkpoint in a folder goes by the folder's name.
        name = Path(getattr(self.cfg, "model_name", None) or self.engine.architecture.name).name
        return (
            f"PatchableModel({name}: {len(self.srcs)} sources, {len(self.dests)} destinations, "
            f"{self.n_edges:,} edges{positions})"
        )


def patchable_model(
    model: nn.Module,
    factorized: bool = True,
    slice_output: OutputSlice = "last_seq",
    seq_len: int | None = None,
    separate_qkv: bool = True,
    device: torch.device | str | None = None,
) -> PatchableModel:
    """Make the edges of a TransformerLens model patchable.

    `model`: a `TransformerBridge`, or a `HookedTransformer` of transformer-lens 2 or 3.

    `factorized`: edges from every source to every head and MLP behind it. With `False` what a
    head or an MLP writes is patched for all its readers at once, and so are the residual streams
    between: the destinations are those streams, and `separate_qkv` has no meaning.
    `slice_output`: the token positions whose logits count (`"last_seq"`, `"not_first_seq"` or
    `None` for all). `seq_len`: give every token position its own edges, for prompts of exactly
    this length. `separate_qkv`: queries, keys and values of a head are separate destinations.
    `device`: must be the model's device; move a model with `model.to(...)` first.

    The model is checked by running it once: its nodes, run one by one, must give its logits.

    Raises `UnsupportedModelError` for a model that cannot be split into nodes, and
    `ArgumentError` for a bad argument.
    """
    if not isinstance(factorized, bool):
        raise ArgumentError("factorized", "True (edges) or False (nodes)", factorized)
    if slice_output not in tuple(_SLICES):  # What is not hashable is wrong, too.
        raise ArgumentError("slice_output", f"one of {list(_SLICES)}", slice_output)
    if seq_len is not None and (not is_whole_number(seq_len) or seq_len < 1):
        raise ArgumentError("seq_len", "None or a whole number of at least 1", seq_len)
    if not isinstance(separate_qkv, bool):
        raise ArgumentError("separate_qkv", "True or False", separate_qkv)
    architecture = Architecture(model, separate_qkv or not factorized)
    graph = (
        Graph(architecture.shapes, separate_qkv, seq_len)
        if factorized
        else NodeGraph(architecture.shapes, seq_len)
    )
    patchable = PatchableModel(model, architecture, graph, slice_output)
    if device is not None and torch.device(device).type != patchable.device.type:
        raise ArgumentError("device", f"the model's device, {patchable.device}", device)
    _refuse_if_nodes_differ(patchable)
    return patchable


def _refuse_if_nodes_differ(model: PatchableModel) -> None:
    """Run two short random prompts both ways: node by node, and as they are."""
    n_tokens = min(8, int(model.cfg.n_ctx))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(int(model.cfg.d_vocab), (2, n_tokens), generator=generator)
    inputs, logits = model.engine.architecture.run_inputs(tokens.to(model.device))
    _, _, rebuilt = model.engine.plain(inputs)
    if not is_close(rebuilt, logits):
        difference = (rebuilt - logits).abs().max().item()
        raise UnsupportedModelError(
            f"this {model.engine.architecture.name} model computes something that its nodes do "
            "not: run one by one they give logits that differ from the model's by up to "
            f"{difference:.2g}."
        )


@contextmanager
def patch_mode(
    model: PatchableModel,
    patch_src_outs: Float[Tensor, "sources batch seq d_model"],
    edges: Iterable[Edge] | None = None,
) -> Iterator[None]:
    """Inside the context, `model(tokens)` patches its edges.

    `patch_src_outs`: patch activations, as `src_ablations` makes them. `edges`: patch exactly
    these (the masks return to what they were afterwards); without it, every edge is patched by
    its value in `model.patch_masks`.
    """
    n_sources = len(model.srcs)
    if patch_src_outs.dim() != 4 or patch_src_outs.shape[0] != n_sources:
        wanted = f"a tensor [{n_sources} sources, batch, seq, d_model]"
        raise ArgumentError("patch_src_outs", wanted, tuple(patch_src_outs.shape))
    before_patch, before_masks = model._patch, model.patch_masks
    if edges is not None:
        masks = torch.zeros(model.n_edges, device=model.device)
        masks[model.graph.flat_index(edges)] = 1
        model.patch_masks = model.graph.split(masks)
    model._patch = model.engine.patch(patch_src_outs)
    try:
        yield
    finally:
        model._patch, model.patch_masks = before_patch, before_masks
