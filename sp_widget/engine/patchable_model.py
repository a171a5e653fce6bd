"""A model whose edges can be patched, and the mode in which calling it patches them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sp_widget.data.device import known_device
from sp_widget.data.prompt_tokens import model_limits
from sp_widget.data.prompts import is_whole_number
from sp_widget.data.tails import taken_off
from sp_widget.engine.edge_engine import EdgeEngine
from sp_widget.engine.node_engine import NodeEngine
from sp_widget.engine.protocol import ALL_POSITIONS, Engine, Patch
from sp_widget.errors import ArgumentError, UnsupportedModelError
from sp_widget.graph.edge_graph import DestNode, Edge, Graph, SrcNode
from sp_widget.graph.node_graph import NodeGraph
from sp_widget.models.architecture import Architecture, is_close
from sp_widget.models.own_copy import refuse_hooks
from sp_widget.types import OutputSlice

_SLICES: dict[OutputSlice, tuple[slice, slice | int]] = {
    "last_seq": (slice(None), -1),
    "not_first_seq": (slice(None), slice(1, None)),
    None: (slice(None), slice(None)),
}


_LARGEST = 1e30
"""Beyond it a number does not fit into 32 bits."""

MOST_POSITIONS = 1_000_000
"""That have edges of their own; more than any model reads."""


class PatchableModel:
    """A TransformerLens model and the graph of its edges; made by `patchable_model`.

    Calling it runs the plain model, or, inside `patch_mode`, the patched one.

    The model itself is never changed. Everything but a plain call runs on a copy of its modules
    that shares its weights, so that a training and other work on the same model (calls,
    `run_with_cache`, `generate`, hooks, a second training) do not meet. Hooks that are attached
    when something is asked for here are refused, as they would have no effect; those that come
    and go during a training see and change nothing of it. A weight that changes afterwards is
    found out: `ModelChangedError`.
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
        self.patch_masks: dict[str, Tensor] = self.new_prune_scores()
        """Mask values used inside `patch_mode`, by destination module; edit them in place. For an
        algorithm of one's own: leaves, which may require gradients and go to an optimiser."""
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

    def new_prune_scores(self, init_val: float = 0.0) -> dict[str, Tensor]:
        """Return a score for every edge, all of this value: one tensor a destination module."""
        if isinstance(init_val, bool) or not isinstance(init_val, (int, float)):
            raise ArgumentError("init_val", "a number", init_val)
        if not -_LARGEST <= init_val <= _LARGEST and abs(init_val) != torch.inf:
            raise ArgumentError("init_val", f"a number of at most {_LARGEST:g}", init_val)
        flat = torch.full((self.n_edges,), float(init_val), device=self.device)
        return {name: part.clone() for name, part in self.graph.split(flat).items()}

    @property
    def out_positions(self) -> slice:
        """The token positions that `out_slice` keeps, as a slice."""
        kept = self.out_slice[1]
        return kept if isinstance(kept, slice) else slice(kept, None)

    def check_unchanged(self) -> None:
        """Raise `ModelChangedError` when a module or a weight has changed since this was made."""
        self.engine.architecture.unchanged.check_numbers()

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

        `prefix`: tokens before those of every prompt; never patched. Prompts of a batch bring
        theirs with them.
        """
        self.check_tokens(tokens, attention_mask, prefix)
        tokens, prefix = taken_off(tokens, prefix)
        if self._patch is None:
            if prefix is not None:
                tokens = torch.cat((prefix.expand(len(tokens), -1), tokens), dim=1)
            kwargs = {} if attention_mask is None else {"attention_mask": attention_mask}
            logits: Tensor = self.wrapped_model(tokens, **kwargs)
            return logits if prefix is None else logits[:, len(prefix) :]
        refuse_hooks(self.wrapped_model)
        inputs, _ = self.engine.architecture.run_inputs(tokens, attention_mask, prefix)
        self._check_fits(inputs.embed)
        masks = self.graph.flatten(self.patch_masks).unsqueeze(0)
        return self.engine.run(masks, inputs, self._patch, ALL_POSITIONS)

    def check_tokens(
        self,
        tokens: object,
        attention_mask: object = None,
        prefix: object = None,
        name: str = "tokens",
    ) -> None:
        """Raise `ArgumentError` for what is no batch of prompts that the model can run."""
        if not isinstance(tokens, Tensor) or tokens.dim() != 2 or 0 in tokens.shape:
            got = tuple(tokens.shape) if isinstance(tokens, Tensor) else type(tokens)
            raise ArgumentError(name, "a tensor of token ids [batch, seq]", got)
        if attention_mask is not None and (
            not isinstance(attention_mask, Tensor) or attention_mask.shape != tokens.shape
        ):
            got = getattr(attention_mask, "shape", type(attention_mask))
            wanted = f"a tensor of the shape of the tokens, {tuple(tokens.shape)}"
            raise ArgumentError("attention_mask", wanted, got)
        if isinstance(attention_mask, Tensor) and not _is_mask(attention_mask):
            raise ArgumentError("attention_mask", "only 0 (padding) and 1 (token)", attention_mask)
        ordinary, prefix = taken_off(tokens, prefix)  # type: ignore[arg-type]
        if prefix is not None and (not isinstance(prefix, Tensor) or prefix.dim() != 1):
            raise ArgumentError("prefix", "a tensor of token ids [prefix] or None", prefix)
        limits = model_limits(self.wrapped_model)
        for what, ids in ((name, ordinary), ("prefix", prefix)):
            if ids is None:
                continue
            if ids.dtype not in (torch.long, torch.int):
                raise ArgumentError(what, "token ids of dtype int64", ids.dtype)
            if ids.device != self.device:
                raise ArgumentError(what, f"the model's device, {self.device}", ids.device)
            low, high = (int(end) for end in ids.aminmax())
            if low < 0 or (limits.d_vocab is not None and high >= limits.d_vocab):
                wanted = f"token ids from 0 to {(limits.d_vocab or 0) - 1}, the model's vocabulary"
                raise ArgumentError(what, wanted, low if low < 0 else high)
        length = ordinary.shape[1] + (0 if prefix is None else len(prefix))
        if limits.n_positions is not None and length > limits.n_positions:
            wanted = f"prompts of at most {limits.n_positions} tokens, the model's context"
            raise ArgumentError(name, wanted, length)

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


def require_patchable(model: object) -> PatchableModel:
    """Return the model. Raises `ArgumentError` for what `patchable_model` did not make."""
    if not isinstance(model, PatchableModel):
        raise ArgumentError("model", "what sp_widget.patchable_model returns", type(model))
    return model


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
    `ArgumentError` for a bad argument or a model with hooks.
    """
    if not isinstance(factorized, bool):
        raise ArgumentError("factorized", "True (edges) or False (nodes)", factorized)
    if not isinstance(slice_output, (str, NoneType)) or slice_output not in _SLICES:
        raise ArgumentError("slice_output", f"one of {list(_SLICES)}", slice_output)
    if seq_len is not None and (not is_whole_number(seq_len) or seq_len < 1):
        raise ArgumentError("seq_len", "None or a whole number of at least 1", seq_len)
    if seq_len is not None and seq_len > MOST_POSITIONS:
        raise ArgumentError("seq_len", f"at most {MOST_POSITIONS:,} positions", seq_len)
    if not isinstance(separate_qkv, bool):
        raise ArgumentError("separate_qkv", "True or False", separate_qkv)
    kind = None if device is None else known_device(device).type
    architecture = Architecture(model, separate_qkv or not factorized)
    refuse_hooks(model)
    graph = (
        Graph(architecture.shapes, separate_qkv, seq_len)
        if factorized
        else NodeGraph(architecture.shapes, seq_len)
    )
    patchable = PatchableModel(model, architecture, graph, slice_output)
    if kind not in (None, patchable.device.type):
        raise ArgumentError("device", f"the model's device, {patchable.device}", device)
    _refuse_if_nodes_differ(patchable)
    return patchable


def _refuse_if_nodes_differ(model: PatchableModel) -> None:
    """Run two short random prompts both ways: node by node, and as they are."""
    n_tokens = min(8, int(model.cfg.n_ctx))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(int(model.cfg.d_vocab), (2, n_tokens), generator=generator)
    tokens = tokens.to(model.device)
    inputs, _ = model.engine.architecture.run_inputs(tokens)
    _, _, rebuilt = model.engine.plain(inputs)
    with torch.no_grad():
        logits = model(tokens)
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
    edges: Iterable[Edge | str] | None = None,
) -> Iterator[None]:
    """Inside the context, `model(tokens)` patches its edges.

    `patch_src_outs`: patch activations, as `src_ablations` makes them. `edges`: patch exactly
    these (the masks return to what they were afterwards); without it, every edge is patched by
    its value in `model.patch_masks`. An edge may be given by its name, `"MLP 1->A2.0.Q"`, which
    stands for all its token positions, or with its position, `"3:MLP 1->A2.0.Q"`.

    Raises `ArgumentError` with the name of a bad argument, and `ModelChangedError` when a weight
    has changed since the model was made patchable.
    """
    require_patchable(model)
    n_sources, d_model = len(model.srcs), int(model.cfg.d_model)
    wanted = f"a tensor [{n_sources} sources, batch, seq, {d_model}], as src_ablations makes it"
    if not isinstance(patch_src_outs, Tensor):
        raise ArgumentError("patch_src_outs", wanted, type(patch_src_outs))
    shape = tuple(patch_src_outs.shape)
    if len(shape) != 4 or (shape[0], shape[3]) != (n_sources, d_model):
        raise ArgumentError("patch_src_outs", wanted, shape)
    if not patch_src_outs.dtype.is_floating_point:
        raise ArgumentError("patch_src_outs", wanted, patch_src_outs.dtype)
    model.check_unchanged()
    before_patch, before_masks = model._patch, model.patch_masks
    if edges is not None:
        masks = torch.zeros(model.n_edges, device=model.device)
        masks[model.graph.flat_index(find_edges(model, edges))] = 1
        model.patch_masks = model.graph.split(masks)
    model._patch = model.engine.patch(patch_src_outs)
    try:
        yield
    finally:
        model._patch, model.patch_masks = before_patch, before_masks


def _is_mask(mask: Tensor) -> bool:
    dense = mask.layout == torch.strided and not mask.is_meta
    return dense and bool(((mask == 0) | (mask == 1)).all())


def find_edges(
    model: PatchableModel, edges: Iterable[Edge | str], name: str = "edges"
) -> list[Edge]:
    """Return the edges that are given, some of them by name; a name stands for all its positions.

    Raises `ArgumentError` for what is no edge, and for a name that no edge of the model has.
    """
    if isinstance(edges, str | Tensor) or not isinstance(edges, Iterable):
        raise ArgumentError(name, "a list of edges or of their names", edges)
    given = list(edges)
    if not all(isinstance(edge, (Edge, str)) for edge in given):
        raise ArgumentError(name, "edges or their names", given)
    names = {edge for edge in given if isinstance(edge, str)}
    found = [edge for edge in given if isinstance(edge, Edge)]
    if names:
        by_name = [edge for edge in model.edges if {edge.name, repr(edge)} & names]
        unknown = names - {name for edge in by_name for name in (edge.name, repr(edge))}
        if unknown:
            raise ArgumentError(name, "names of edges of this model", min(unknown))
        found += by_name
    return found
