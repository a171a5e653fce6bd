"""Models compiled from programs by tracr (Lindner et al. 2023, arXiv 2301.05062).

Their circuits are known exactly: the edges that change the output when they alone are patched,
each at single token positions. It makes no difference whether the clean prompt runs and one edge
carries its corrupt value or the other way round. `metadata.json` holds both lists and how far
all edges stay from the tolerance; `tools/make_tasks/make_tracr.py` measured them. Edges that
carry what is the same in all prompts, such as lengths and positions, are not among them.

For `tracr-xproportion` this is also the circuit of Miller, Chughtai & Saunders 2024 (arXiv
2407.08734). For `tracr-reverse` the paper's list leaves position 3 out, although the head of the
last layer must fetch the middle token like any other. The official edges are kept as published,
so that results can be compared. Probing ranks the two edges at position 3 with the other eight,
which counts against it: 0.998 on average when the ten stand above all others, in whatever order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from sp_widget.data.json_data import load_datasets_from_json
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.tasks.assets import asset_folder, native_bridge, read_metadata
from sp_widget.tasks.task import Task

_SEQ_LEN = 6
"""Tokens of an input, BOS counted."""


@dataclass(frozen=True)
class _Program:
    """What the files of a compiled program do not say."""

    train_test_size: tuple[int, int]
    """Half of all inputs each."""
    batch_size: int
    config: SubnetworkProbingConfig
    """All but the faithfulness target, which follows from the kind of output."""
    description: str


# After 50 epochs the circuit stands as clear of all other edges as after the 500 of the paper.
_PUBLISHED = SubnetworkProbingConfig(learning_rate=0.1, regularize_lambda=1e-3, epochs=50, seed=0)

# From the corrupt prompt a few patched edges late in the model restore the output by themselves,
# and nothing is learnt of those before them; so the clean prompt runs. The start is the whole
# model with few edges ablated at a time: where all that a path needs is there, one edge counts.
_FROM_THE_WHOLE_MODEL = SubnetworkProbingConfig(
    tree_optimisation=True, init_val=-4.0, regularize_lambda=0.01, epochs=50, seed=0
)

_PROGRAMS = {
    "tracr-xproportion": _Program(
        (512, 512),
        64,
        _PUBLISHED,
        """\
A two-layer transformer compiled from a program returns, at every position, which share of the \
tokens so far are "x": for x w x y z it gives 1, 1/2, 2/3, 1/2, 2/5. The corrupt prompts are \
other random inputs. The circuit is known exactly: the first MLP marks every "x", the head of \
the second layer averages the marks up to each position, and its output is the answer.""",
    ),
    "tracr-reverse": _Program(
        (121, 122),
        11,
        _PUBLISHED,
        """\
A four-layer transformer compiled from a program returns its five tokens backwards. The corrupt \
prompts are other random inputs. The circuit is known: the head of the last layer fetches each \
token from the opposite position; what computes that position is the same for all prompts of one \
length and needs no clean values. The official edges are those of the literature, which leave out \
position 3, the middle, although it is needed just as much.""",
    ),
    "tracr-sort": _Program(
        (121, 122),
        11,
        _FROM_THE_WHOLE_MODEL,
        """\
A three-layer transformer compiled from a program returns its five tokens in ascending order. \
The corrupt prompts are other random inputs. The circuit is known exactly: the first MLP makes a \
key of token and position, the head of the second layer and its MLP count for every token how \
many keys are smaller, and the head of the last layer fetches each token by that count.""",
    ),
    "tracr-histogram": _Program(
        (512, 512),
        64,
        _FROM_THE_WHOLE_MODEL,
        """\
A one-layer transformer compiled from a program returns, at every position, how often its token \
occurs in the input: for a b a c a it gives 3, 1, 3, 1, 3. The corrupt prompts are other random \
inputs. The circuit is known exactly: the head attends to the positions with the same token, \
through queries and keys alone, and the MLP turns the share of its attention into a count.""",
    ),
    "tracr-pair-balance": _Program(
        (121, 122),
        11,
        _FROM_THE_WHOLE_MODEL,
        """\
A two-layer transformer compiled from a program returns, at every position, the share of "(" \
minus the share of ")" so far: for ( x ) ) it gives 1, 1/2, 0, -1/4. The corrupt prompts are \
other random inputs. The circuit is known exactly: the first MLP marks both brackets, two heads \
of the second layer average one kind of mark each, and its MLP subtracts.""",
    ),
}

NAMES = tuple(_PROGRAMS)


def load(
    name: str, batch_size: int | tuple[int, int] | None, device: torch.device | str | None
) -> Task:
    """Return a compiled task: every input of length 5, half for training, half for test.

    Logits are `[batch, 6, d_vocab_out]`: one number, or 1 for the right output and 0 for the
    others. Answers `[batch, 5, 1]` leave BOS out: the number, or the index of the right logit.
    """
    program, metadata = _PROGRAMS[name], read_metadata(name)
    bridge = native_bridge(name, device)
    train_loader, test_loader = load_datasets_from_json(
        bridge,
        asset_folder(name) / "prompts.json",
        prepend_bos=False,
        batch_size=program.batch_size if batch_size is None else batch_size,
        train_test_size=program.train_test_size,
        return_seq_length=True,
    )
    model = patchable_model(bridge, slice_output="not_first_seq", seq_len=_SEQ_LEN)
    returns_number = metadata["outputs"] is None
    return Task(
        name=name,
        model=model,
        train_loader=train_loader,
        test_loader=test_loader,
        official_edges=edges_at(
            model, metadata["published_circuit"] or metadata["single_edges"]["ablate"]["edges"]
        ),
        description=program.description,
        config=replace(program.config, faithfulness_target="mse" if returns_number else "kl_div"),
    )


def edges_at(model: PatchableModel, positions: Mapping[str, Sequence[int]]) -> set[Edge]:
    """Return the edges of these names at these token positions."""
    return {edge for edge in model.edges if edge.seq_idx in positions.get(edge.name, ())}
