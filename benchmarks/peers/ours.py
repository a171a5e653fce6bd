"""The same training by sp_widget: `python -m benchmarks.peers.ours FOLDER SETTINGS`.

Takes and gives what `reference.py train` does.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformer_lens.model_bridge import TransformerBridge

import sp_widget as sp


def train(folder: Path, settings: dict[str, Any]) -> None:
    """Mean ablation, which the reference always trains with."""
    torch.set_num_threads(settings["threads"])
    bridge = TransformerBridge.boot_transformers(str(folder / "checkpoint"), device="cpu")
    model = sp.patchable_model(bridge.eval(), slice_output="last_seq")
    prompts = torch.load(folder / "prompts.pt", weights_only=True)
    loader = sp.PromptDataLoader(sp.PromptDataset(**prompts), batch_size=settings["batch"])
    config = sp.SubnetworkProbingConfig(
        ablation_type=sp.AblationType.TOKENWISE_MEAN_CORRUPT, seed=0, **settings["training"]
    )
    trainer = sp.SubnetworkProbing(model, loader, config)
    stamps = []
    while not trainer.done:
        trainer.step()
        stamps.append(time.perf_counter())
    torch.save(dict(trainer.prune_scores), folder / f"scores-{settings['name']}.pt")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"stamps": stamps, "peak_bytes": peak, "edges": model.n_edges}))


if __name__ == "__main__":
    train(Path(sys.argv[1]), json.loads(sys.argv[2]))
