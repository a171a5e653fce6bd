"""From a name and a model to a task: prompts made for its tokenizer, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.utils.data import Subset

from sp_widget.data.json_data import left_pad
from sp_widget.data.prompt_tokens import ModelLimits, model_limits, padding_token
from sp_widget.data.prompts import PromptDataLoader, PromptDataset
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.methods import get
from sp_widget.tasks.standard import (
    capital_country,
    docstring,
    gendered_pronouns,
    greater_than,
    ioi,
    subject_verb,
)
from sp_widget.tasks.standard.circuits import official_edges
from sp_widget.tasks.standard.examples import Example, ExampleMaker, draw_examples, word_positions
from sp_widget.tasks.standard.vocabulary import Vocabulary
from sp_widget.tasks.task import Task


@dataclass(frozen=True)
class _Kind:
    description: str
    maker: Callable[[Vocabulary], ExampleMaker]


_KINDS = {
    "ioi": _Kind(ioi.DESCRIPTION, ioi.IndirectObjects),
    "greater-than": _Kind(greater_than.DESCRIPTION, greater_than.LaterYears),
    "docstring": _Kind(docstring.DESCRIPTION, docstring.NextArguments),
    "gendered-pronouns": _Kind(gendered_pronouns.DESCRIPTION, gendered_pronouns.Pronouns),
    "capital-country": _Kind(capital_country.DESCRIPTION, capital_country.Countries),
    "subject-verb": _Kind(subject_verb.DESCRIPTION, subject_verb.Agreements),
}

NAMES = tuple(_KINDS)


def load(
    name: str,
    model: nn.Module | PatchableModel,
    n_train: int,
    n_test: int,
    seed: int,
    batch_size: tuple[int, int],
) -> Task:
    """Return the task on this model; the arguments are those of `sp_widget.tasks.load`, checked."""
    tokenizer: Any = getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise ArgumentError("model", "a model with a tokenizer", "one whose tokenizer is None")
    vocabulary = Vocabulary(tokenizer)
    kind = _KINDS[name]
    examples = draw_examples(kind.maker(vocabulary), n_train, n_test, seed)
    wrapped = model.wrapped_model if isinstance(model, PatchableModel) else model
    prompts = _Prompts(vocabulary, [*examples[0], *examples[1]], tokenizer, model_limits(wrapped))
    patchable = _patchable(model, prompts)
    dataset = prompts.dataset(patchable.device)
    train_loader, test_loader = (
        PromptDataLoader(
            Subset(dataset, indices),
            seq_len=prompts.seq_len,
            batch_size=size,
            word_idxs=prompts.word_idxs,
        )
        for indices, size in (
            (range(n_train), batch_size[0]),
            (range(n_train, n_train + n_test), batch_size[1]),
        )
    )
    return Task(
        name=name,
        model=patchable,
        train_loader=train_loader,
        test_loader=test_loader,
        official_edges=official_edges(name, patchable),
        description=f"{kind.description} {vocabulary.summary()}",
        config=get("subnetwork_probing").first_config(
            patchable, train_loader if n_train else test_loader
        ),
        left_out=tuple(vocabulary.left_out),
    )


class _Prompts:
    """The examples as token ids, with BOS in front where the tokenizer has one."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        examples: Sequence[Example],
        tokenizer: Any,
        limits: ModelLimits,
    ) -> None:
        self._examples = examples
        self._padding = padding_token(tokenizer, limits)
        bos = getattr(tokenizer, "bos_token_id", None)
        start = [] if bos is None else [bos]
        self._sides = [
            [start + vocabulary.encode(example.texts[side]) for example in examples]
            for side in (0, 1)
        ]
        for example, clean, corrupt in zip(examples, *self._sides, strict=True):
            if len(clean) != len(corrupt):
                wanted = f"a tokenizer that gives {example.texts[0]!r} and {example.texts[1]!r}"
                got = f"{len(clean)} and {len(corrupt)}"
                raise ArgumentError("model", f"{wanted} the same number of tokens", got)
        lengths = {len(row) for row in self._sides[0]}
        self._length = max(lengths)
        if limits.n_positions is not None and limits.n_positions < self._length:
            wanted = f"a model that takes {self._length} tokens, the longest prompt"
            raise ArgumentError("model", wanted, limits.n_positions)
        self.seq_len = self._length if len(lengths) == 1 else None
        """The number of tokens of every prompt; `None`: not the same for all."""
        # Words are of one token each: their places depend on the template alone.
        templates = {example.template: example for example in examples}
        places = [word_positions(vocabulary, example) for example in templates.values()]
        self.word_idxs = {
            word: position + len(start)
            for word, position in places[0].items()
            if all(each.get(word) == position for each in places)
        }
        """The positions of words that are at the same one in all prompts."""

    @property
    def lengths(self) -> str:
        """How many tokens the prompts have, in words."""
        shortest = min(len(row) for row in self._sides[0])
        same = shortest == self._length
        return f"{shortest} tokens" if same else f"{shortest} to {self._length} tokens"

    def dataset(self, device: torch.device) -> PromptDataset:
        """Return the prompts, shorter ones padded on the left."""
        clean, mask = left_pad(self._sides[0], self._length, self._padding, device)
        corrupt, _ = left_pad(self._sides[1], self._length, self._padding, device)

        def token_ids(answers: tuple[int, ...]) -> Int[Tensor, " n_answers"]:
            return torch.tensor(answers, device=device)

        return PromptDataset(
            clean,
            corrupt,
            [token_ids(example.answers) for example in self._examples],
            [token_ids(example.wrong_answers) for example in self._examples],
            clean_attention_mask=mask,
            corrupt_attention_mask=mask,
        )


def _patchable(model: nn.Module | PatchableModel, prompts: _Prompts) -> PatchableModel:
    if not isinstance(model, PatchableModel):
        return patchable_model(model)
    if model.slice_output != "last_seq":
        wanted = "a patchable model with slice_output='last_seq': answers follow the last token"
        raise ArgumentError("model", wanted, model.slice_output)
    if model.seq_len is not None and model.seq_len != prompts.seq_len:
        wanted = f"a patchable model that takes the prompts, which have {prompts.lengths}"
        raise ArgumentError("model", wanted, f"one with seq_len={model.seq_len}")
    return model
