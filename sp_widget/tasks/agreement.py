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
A four-layer GPT-2, trained on the World English Bible and on nothing else, continues "The \
servants built the wall, and lifted up" with " their" and "The servant built the wall, and lifted \
up" with " his": the number has to come from a subject seven tokens back, whatever the number of \
the object in between. The corrupt prompts are openings of unrelated sentences of the same book, \
of the same number of tokens. Nothing in them says where to attend, so a circuit must also hold \
the edges that decide it. Nobody knows the circuit: none was built in."""

# As for tiny-ioi: a subgraph from the input to the output, pruned from the whole model.
_CONFIG = SubnetworkProbingConfig(
    tree_optimisation=True,
    init_val=-DEFAULT_INIT_VAL,
    regularize_lambda=1.0,
    epochs=50,
    seed=0,
)


def load(batch_size: int | tuple[int, int] | None, device: torch.device | str | None) -> Task:
    """Return the task; no subject of its prompts stands near its object in the model's text.

    The pairs of nouns of train and test prompts are disjoint, and so are their corrupt prompts.
    All prompts, clean and corrupt, have 10 tokens, BOS included. `train_loader.word_idxs` are the
    places of subject, object and end in every clean prompt.
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
