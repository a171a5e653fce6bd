"""Two models compiled from programs by tracr (Lindner et al. 2023, arXiv 2301.05062).

Their circuits are those of Miller, Chughtai & Saunders 2024 (arXiv 2407.08734): the edges that
must carry the clean value under resample ablation, each at single token positions. The edges
that say *where* to attend are not among them: lengths and positions are the same in all prompts.

For `tracr-reverse` the paper's list leaves position 3 out, although the head of the last layer
must fetch the middle token like any other. The official edges are kept as published, so that
figures can be compared. Probing ranks the two edges at position 3 with the other eight, which
counts against it: 0.998 on average when the ten stand above all others, in whatever order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from sp_widget.data.json_data import load_datasets_from_json
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.tasks.assets import asset_folder, native_bridge
from sp_widget.tasks.task import Task

X_PROPORTION = "tracr-xproportion"
REVERSE = "tracr-reverse"

_SEQ_LEN = 6

# After 50 epochs the circuit stands as clear of all other edges as after the 500 of the paper.
_CONFIG = SubnetworkProbingConfig(learning_rate=0.1, regularize_lambda=1e-3, epochs=50, seed=0)

_X_PROPORTION_EDGES = {
    "Resid Start->MLP 0": (1, 2, 3, 4, 5),
    "MLP 0->A1.0.V": (1, 2, 3, 4, 5),
    "A1.0->Resid End": (1, 2, 3, 4, 5),
}
_REVERSE_EDGES = {
    "Resid Start->A3.0.V": (1, 2, 4, 5),
    "A3.0->Resid End": (1, 2, 4, 5),
}

_X_PROPORTION_DESCRIPTION = """\
A two-layer transformer compiled from a program returns, at every position, which share of the \
tokens so far are "x": for x w x y z it gives 1, 1/2, 2/3, 1/2, 2/5. The corrupt prompts are \
other random inputs. The circuit is known exactly: the first MLP marks every "x", the head of \
the second layer averages the marks up to each position, and its output is the answer."""

_REVERSE_DESCRIPTION = """\
A four-layer transformer compiled from a program returns its five tokens backwards. The corrupt \
prompts are other random inputs. The circuit is known: the head of the last layer fetches each \
token from the opposite position; what computes that position is the same for all prompts of one \
length and needs no clean values. The official edges are those of the literature, which leave out \
position 3, the middle, although it is needed just as much."""


def load_x_proportion(
    batch_size: int | tuple[int, int] | None, device: torch.device | str | None
) -> Task:
    """The task `tracr-xproportion`: every input of length 5, half for training, half for test.

    Logits `[batch, 6, 1]` are numbers; the answers `[batch, 5, 1]` leave BOS out.
    """
    return _load(
        X_PROPORTION,
        batch_size=64 if batch_size is None else batch_size,
        device=device,
        train_test_size=(512, 512),
        edges=_X_PROPORTION_EDGES,
        description=_X_PROPORTION_DESCRIPTION,
        config=replace(_CONFIG, faithfulness_target="mse"),
    )


def load_reverse(
    batch_size: int | tuple[int, int] | None, device: torch.device | str | None
) -> Task:
    """The task `tracr-reverse`: every input of length 5, half for training, half for test.

    Logits `[batch, 6, 3]` are 1 at the right token and 0 at the others.
    """
    return _load(
        REVERSE,
        batch_size=11 if batch_size is None else batch_size,
        device=device,
        train_test_size=(121, 122),
        edges=_REVERSE_EDGES,
        description=_REVERSE_DESCRIPTION,
        config=_CONFIG,
    )


def _load(
    name: str,
    *,
    batch_size: int | tuple[int, int],
    device: torch.device | str | None,
    train_test_size: tuple[int, int],
    edges: Mapping[str, tuple[int, ...]],
    description: str,
    config: SubnetworkProbingConfig,
) -> Task:
    bridge = native_bridge(name, device)
    train_loader, test_loader = load_datasets_from_json(
        bridge,
        asset_folder(name) / "prompts.json",
        prepend_bos=False,
        batch_size=batch_size,
        train_test_size=train_test_size,
        return_seq_length=True,
    )
    model = patchable_model(bridge, slice_output="not_first_seq", seq_len=_SEQ_LEN)
    return Task(
        name=name,
        model=model,
        train_loader=train_loader,
        test_loader=test_loader,
        official_edges=_edges_at(model, edges),
        description=description,
        config=config,
    )


def _edges_at(model: PatchableModel, positions: Mapping[str, tuple[int, ...]]) -> set[Edge]:
    """The edges of these names at these token positions."""
    return {edge for edge in model.edges if edge.seq_idx in positions.get(edge.name, ())}
