"""One prompt pair, prepared for the runs that explain it: the whole model, and circuits of it."""

from __future__ import annotations

import re
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sp_widget.circuits.ablations import ablate_batch, dataset_mean
from sp_widget.circuits.arguments import check_model_and_prompts
from sp_widget.circuits.metrics import in_full_precision
from sp_widget.data.prompt_tokens import bos_token, encode, is_unknown, model_limits
from sp_widget.data.prompts import PromptDataLoader, PromptPair, PromptPairBatch
from sp_widget.data.tails import TailTokens, behind
from sp_widget.engine.patchable_model import PatchableModel, require_patchable
from sp_widget.engine.protocol import ObservedBlock
from sp_widget.errors import ArgumentError, require_member
from sp_widget.models.own_copy import refuse_hooks
from sp_widget.types import AblationType, PatchType, Side, other_side

AnyPair: TypeAlias = PromptPair | tuple[str, str]
"""A prompt pair, such as `dataloader.dataset[0]`; or a clean and a corrupt text."""

LAST = slice(-1, None)
"""The position whose predictions are shown."""


def typed_pair(
    model: PatchableModel,
    clean: str,
    corrupt: str,
    *,
    prepend_bos: bool = True,
    prefix: Int[Tensor, " prefix"] | None = None,
) -> PromptPair:
    """Return the prompt pair of two texts; it has no answers.

    Without a tokenizer the texts are token ids with spaces between them. `prepend_bos`: put BOS
    before a text that does not begin with it, where the tokenizer has one. `prefix`: tokens that
    are taken off, to run once, where both prompts begin with them.

    Raises `ArgumentError` that names `clean` or `corrupt` for a text without tokens or with a word
    that the tokenizer does not know, and for prompts that do not fit each other or the model.
    """
    rows = [
        _ids(model, name, text, prepend_bos)
        for name, text in (("clean", clean), ("corrupt", corrupt))
    ]
    if len(rows[0]) != len(rows[1]):
        wanted = f"as many tokens as the clean prompt has, {len(rows[0])}"
        raise ArgumentError("corrupt", wanted, len(rows[1]))
    given: list[Tensor] = [torch.tensor(row, device=model.device) for row in rows]
    if prefix is not None and len(rows[0]) > len(prefix):
        n = len(prefix)
        if all(torch.equal(row[:n], prefix) for row in given):
            given = [behind(prefix, row[n:]) for row in given]
    if model.seq_len not in (None, len(given[0])):
        wanted = f"prompts of {model.seq_len} tokens, each of which has edges of its own"
        raise ArgumentError("clean", wanted, len(given[0]))
    for name, row in zip(("clean", "corrupt"), given, strict=True):
        model.check_tokens(row[None], name=name)
    none = torch.empty(0, dtype=torch.long, device=model.device)
    return PromptPair(given[0], given[1], none, none)


def _ids(model: PatchableModel, name: str, text: object, prepend_bos: bool) -> list[int]:
    """Return the token ids of a text."""
    if not isinstance(text, str):
        raise ArgumentError(name, "a text", text)
    if not _is_unicode(text):
        raise ArgumentError(name, "a text whose letters are whole", text)
    tokenizer = model.tokenizer
    if tokenizer is None:
        parts = text.split()
        if not parts or not all(re.fullmatch(r"\d{1,9}", part) for part in parts):
            wanted = "token ids with spaces between them, as the model has no tokenizer"
            raise ArgumentError(name, wanted, text)
        return [int(part) for part in parts]
    (ids,) = encode(tokenizer, [text])
    if not ids:
        raise ArgumentError(name, "at least one token", text)
    if is_unknown(ids, text, tokenizer):
        words = encode(tokenizer, [f" {word}" for word in text.split()])
        unknown = [
            word
            for word, pieces in zip(text.split(), words, strict=True)
            if is_unknown(pieces, word, tokenizer)
        ]
        raise ArgumentError(name, "words that the tokenizer knows", ", ".join(unknown) or text)
    if prepend_bos and getattr(tokenizer, "bos_token_id", None) is not None:
        bos = bos_token(tokenizer, model_limits(model.wrapped_model))
        ids = ids if ids[0] == bos else [bos, *ids]
    return ids


def _is_unicode(text: str) -> bool:
    """Return whether no half of a surrogate pair stands alone in a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_pair(model: PatchableModel, given: object) -> PromptPair:
    """Return a prompt pair, made of its texts if it is given by them.

    Raises `ArgumentError` for what is neither, and as `typed_pair` does.
    """
    if isinstance(given, PromptPair):
        rows = given.clean, given.corrupt
        if not all(isinstance(row, Tensor) and row.dim() == 1 for row in rows):
            raise ArgumentError("pair", "prompts that are tensors of token ids [seq]", given)
        return given
    if isinstance(given, tuple) and len(given) == 2:
        return typed_pair(model, *given)
    raise ArgumentError("pair", "a PromptPair, or a clean and a corrupt text", given)


def pair_at(dataloader: PromptDataLoader, place: int) -> PromptPair:
    """Return the prompt pair at a place of a dataloader, with the prefix that its tokens know."""
    first = 0
    for batch in dataloader:
        if place < first + len(batch.clean):
            return _pair_of(batch, place - first)
        first += len(batch.clean)
    raise ArgumentError("pair", f"the place of one of {first} prompts", place)


def _pair_of(batch: PromptPairBatch, row: int) -> PromptPair:
    clean_mask, corrupt_mask = batch.clean_attention_mask, batch.corrupt_attention_mask
    return PromptPair(
        batch.clean[row],
        batch.corrupt[row],
        batch.answers[row],
        batch.wrong_answers[row],
        None if clean_mask is None else clean_mask[row],
        None if corrupt_mask is None else corrupt_mask[row],
    )


def patch_mean(
    model: PatchableModel, ablation_type: AblationType, dataloader: PromptDataLoader | None
) -> Float[Tensor, "sources 1 seq d_model"] | None:
    """Return the means over a dataset that an ablation patches with; `None`: it needs none.

    Raises `ArgumentError` where it needs a dataloader and there is none.
    """
    require_member("ablation_type", ablation_type, AblationType)
    if not ablation_type.mean_over_dataset:
        return None
    if dataloader is None:
        wanted = f"the prompts whose mean {ablation_type.name} takes"
        raise ArgumentError("dataloader", wanted, None)
    check_model_and_prompts(model, dataloader)
    return dataset_mean(model, dataloader, ablation_type)


class PairRuns:
    """Runs one prompt pair: plain on both sides, and any circuit of it.

    What does not depend on the circuit is computed once, when it is made.

    Args:
        model: What `patchable_model` returns.
        pair: A clean and a corrupt prompt of one length.
        patch_type: `TREE_PATCH`: the clean prompt runs and every edge outside the circuit is
            ablated. `EDGE_PATCH`: the corrupt prompt runs, the circuit's edges are patched.
        ablation_type: What a patched edge carries. The batch of a mean over a batch is this pair.
        mean: What `patch_mean` returned.
    """

    @torch.no_grad()
    def __init__(
        self,
        model: PatchableModel,
        pair: PromptPair,
        patch_type: PatchType = PatchType.TREE_PATCH,
        ablation_type: AblationType = AblationType.RESAMPLE,
        mean: Float[Tensor, "sources 1 seq d_model"] | None = None,
    ) -> None:
        require_patchable(model)
        require_member("patch_type", patch_type, PatchType)
        require_member("ablation_type", ablation_type, AblationType)
        refuse_hooks(model.wrapped_model)
        if pair.clean.shape != pair.corrupt.shape:
            shape = tuple(pair.clean.shape)
            raise ArgumentError("pair", f"a corrupt prompt of shape {shape}", pair.corrupt.shape)
        model.graph.check_prompts(len(pair.clean))
        self.model, self.pair, self.patch_type = model, pair, patch_type
        self.run_side = patch_type.run_side
        patch_side = other_side(self.run_side)
        architecture, engine = model.engine.architecture, model.engine
        self._inputs, self._logits = {}, {}
        for side in ("clean", "corrupt"):
            tokens, mask = _side(pair, side)
            model.check_tokens(tokens, mask, name="pair")
            inputs, logits = architecture.run_inputs(tokens, mask)
            self._inputs[side] = inputs
            self._logits[side] = in_full_precision(logits[0, -1]).clone()
        if mean is None:
            sources = engine.source_outputs(self._inputs[patch_side])
            sources = ablate_batch(sources, ablation_type, _side(pair, patch_side)[1])
        else:
            if mean.shape[2] != len(pair.clean):
                wanted = f"{mean.shape[2]} tokens, like the prompts whose mean is taken"
                raise ArgumentError("pair", wanted, len(pair.clean))
            sources = mean
        self._patch = engine.patch(sources)

    def plain_logits(self, side: Side) -> Float[Tensor, " d_vocab"]:
        """Return the whole model's logits at the last position of a prompt."""
        return self._logits[side]

    @torch.no_grad()
    def circuit_logits(self, circuit: Bool[Tensor, " edges"]) -> Float[Tensor, " d_vocab"]:
        """Return a circuit's logits at the last position."""
        inputs = self._inputs[self.run_side]
        logits = self.model.engine.run(self._masks(circuit), inputs, self._patch, LAST)
        return in_full_precision(logits[0, -1])

    def observe_plain(self, block: int) -> ObservedBlock:
        """Return what the nodes of a block read and write when the whole model runs the clean
        prompt."""
        return self.model.engine.observe_plain(self._inputs["clean"], block)

    def observe(self, circuit: Bool[Tensor, " edges"], block: int) -> ObservedBlock:
        """Return what the nodes of a block read and write inside a circuit."""
        inputs = self._inputs[self.run_side]
        return self.model.engine.observe(self._masks(circuit), inputs, self._patch, block)

    def pattern(
        self, side: Side, observed: ObservedBlock, block: int, head: int
    ) -> Float[Tensor, "seq past+seq"]:
        """Return how much each token of a prompt attends to each in a head that read this."""
        nodes = self.model.engine.architecture.blocks[block]
        reads = observed.attention_reads.flatten(1, 2).to(nodes.device)
        projected, _ = nodes.attention.project_in.forward(reads)
        given = self._inputs[side].attention[block]
        return nodes.attention.pattern(projected, 1, given)[0, head]

    def tokens(self, side: Side) -> tuple[list[int], list[int]]:
        """Return the prefix of a prompt, and its tokens without padding."""
        row, mask = _side(self.pair, side)
        ids = row[0].as_subclass(Tensor)
        prefix = row.prefix.tolist() if isinstance(row, TailTokens) else []
        return prefix, (ids if mask is None else ids[mask[0].bool()]).tolist()

    def n_padding(self, side: Side) -> int:
        """Return how many positions of a prompt are padding, all of them on the left."""
        mask = _side(self.pair, side)[1]
        return 0 if mask is None else int((mask == 0).sum())

    def _masks(self, circuit: Bool[Tensor, " edges"]) -> Float[Tensor, "1 edges"]:
        patched = self.patch_type.patched(circuit)
        return patched.to(self.model.device, torch.float32).unsqueeze(0)


def _side(pair: PromptPair, side: Side) -> tuple[Tensor, Tensor | None]:
    """Return one prompt of a pair as a batch, and its attention mask where it has padding."""
    tokens = pair.clean if side == "clean" else pair.corrupt
    mask = pair.clean_attention_mask if side == "clean" else pair.corrupt_attention_mask
    if mask is None or bool(mask.all()):
        return tokens[None], None
    return tokens[None], mask[None]
