"""Indirect object identification in template English (Wang et al. 2022, arXiv 2211.00593)."""

from __future__ import annotations

import torch

from sp_widget.data.json_data import load_datasets_from_json
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.methods.mask_functions import DEFAULT_INIT_VAL
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.tasks.assets import asset_folder, pretrained_bridge
from sp_widget.tasks.task import Task

NAME = "tiny-ioi"

_DESCRIPTION = """\
A four-layer GPT-2, trained on template English, continues sentences such as "When Mary and John \
went to the store, John gave a drink to" with the name that is not repeated: " Mary". In the \
corrupt prompts a third name stands in place of the repeated one ("..., Tom gave a drink to"), \
so that either name could follow. No circuit was built in; in GPT-2 small, heads that notice the \
repeated name keep later heads from copying it, and something of the kind can be expected here."""

# A real subgraph needs `tree_optimisation`: without it the edges of the last heads into `Resid End`
# carry all of the clean behaviour, and nothing is learnt of how those heads come by it.
# Pruned from the whole model (a negative `init_val` starts with every edge in the circuit).
_CONFIG = SubnetworkProbingConfig(
    tree_optimisation=True,
    init_val=-DEFAULT_INIT_VAL,
    regularize_lambda=1.0,
    epochs=50,
    seed=0,
)


def load(batch_size: int | tuple[int, int] | None, device: torch.device | str | None) -> Task:
    """The task; no name pair of its prompts occurs in the text that the model was trained on.

    All prompts have 15 tokens, BOS included, with the names, the giver and the end at the same
    places (`train_loader.word_idxs`), so that edges at single positions are possible:
    `patchable_model(task.model.wrapped_model, seq_len=15)`.
    """
    bridge = pretrained_bridge(NAME, device)
    train_loader, test_loader = load_datasets_from_json(
        bridge,
        asset_folder(NAME) / "prompts.json",
        batch_size=32 if batch_size is None else batch_size,
        train_test_size=(256, 256),
    )
    return Task(
        name=NAME,
        model=patchable_model(bridge),
        train_loader=train_loader,
        test_loader=test_loader,
        official_edges=None,
        description=_DESCRIPTION,
        config=_CONFIG,
    )
