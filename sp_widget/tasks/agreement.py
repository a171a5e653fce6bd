"""Agreement in number across a distance, learnt from text (Linzen et al., arXiv 1611.01368)."""

from __future__ import annotations

import torch

from sp_widget.data.json_data import load_datasets_from_json
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.methods.mask_functions import DEFAULT_INIT_VAL
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.tasks.assets import asset_folder, pretrained_bridge
from sp_widget.tasks.task import Task

NAME = "agreement"

_DESCRIPTION = """\
TODO"""

# As for tiny-ioi: a subgraph from the input to the output, pruned from the whole model.
_CONFIG = SubnetworkProbingConfig(
    tree_optimisation=True,
    init_val=-DEFAULT_INIT_VAL,
    regularize_lambda=1.0,
    epochs=50,
    seed=0,
)


def load(batch_size: int | tuple[int, int] | None, device: torch.device | str | None) -> Task:
    """Return the task; no pair of nouns in its prompts is joined by "of" in the model's text.

    The pairs of train and test prompts are disjoint. All prompts have the same number of tokens,
    with the subject, the noun between and the end at the same places (`train_loader.word_idxs`).
    """
    bridge = pretrained_bridge(NAME, device)
    train_loader, test_loader = load_datasets_from_json(
        bridge,
        asset_folder(NAME) / "prompts.json",
        batch_size=32 if batch_size is None else batch_size,
        train_test_size=(256, 256),
        # The file holds the train prompts first: a shuffle would mix the pairs of nouns.
        shuffle=False,
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
