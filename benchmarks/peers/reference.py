"""The reference's training, timed. Runs in the reference's own environment, as a script:

    python reference.py convert FOLDER            # FOLDER/checkpoint -> FOLDER/hooked.pt
    python reference.py train FOLDER SETTINGS     # SETTINGS: JSON, see `__main__.py`
    python reference.py acdc FOLDER SETTINGS      # see `acdc.py`

`train` writes FOLDER/scores-NAME.pt and prints a line of JSON. With `keep_every` among the
settings it also writes FOLDER/kept-NAME.pt: the scores every so many steps, and some logits.
"""

from __future__ import annotations

import inspect
import json
import resource
import sys
import textwrap
import time
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

STAMPS: list[float] = []
"""When each optimiser step was done."""
PROCESSOR: list[float] = []
"""How much of the processor's time this process had used by then, in seconds."""
MASKS: list[list[torch.Tensor]] = []
"""The parameters of the masks every `TimedAdam.keep_every` steps."""


class TimedAdam(torch.optim.Adam):
    """Adam, and a time stamp after each step."""

    keep_every: int | None = None

    def step(self, *arguments: Any, **options: Any) -> Any:
        result = super().step(*arguments, **options)
        STAMPS.append(time.perf_counter())
        PROCESSOR.append(time.process_time())
        if self.keep_every is not None and len(STAMPS) % self.keep_every == 0:
            # Some thousand numbers: no time worth taking off.
            MASKS.append([each.detach().clone() for each in self.param_groups[0]["params"]])
        return result


# auto-circuit asks for a module that torch no longer shows.
torch.optim.adam = types.SimpleNamespace(Adam=TimedAdam)


def config_of(folder: Path) -> Any:
    """The configuration of the checkpoint, a GPT-2."""
    from transformer_lens import HookedTransformerConfig

    original = json.loads((folder / "checkpoint" / "config.json").read_text())
    return HookedTransformerConfig(
        n_layers=original["n_layer"],
        n_heads=original["n_head"],
        d_model=original["n_embd"],
        d_head=original["n_embd"] // original["n_head"],
        d_mlp=original["n_inner"] or 4 * original["n_embd"],
        n_ctx=original["n_positions"],
        d_vocab=original["vocab_size"],
        eps=original["layer_norm_epsilon"],
        act_fn=original["activation_function"],
        normalization_type="LN",
        device="cpu",
    )


def convert(folder: Path) -> None:
    """In a process of its own, so that its memory counts towards nothing."""
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
    from transformers import GPT2LMHeadModel

    original = GPT2LMHeadModel.from_pretrained(folder / "checkpoint", torch_dtype=torch.float32)
    torch.save(convert_gpt2_weights(original, config_of(folder)), folder / "hooked.pt")


def load(folder: Path) -> Any:
    """The checkpoint as auto-circuit's own loader leaves a model, but without folding."""
    from transformer_lens import HookedTransformer

    model = HookedTransformer(config_of(folder))
    weights = torch.load(folder / "hooked.pt", weights_only=True)
    model.load_state_dict(weights, strict=False)  # It lacks the masks, which are constant.
    for flag in ("use_attn_result", "use_attn_in", "use_split_qkv_input", "use_hook_mlp_in"):
        setattr(model.cfg, flag, True)
    for parameter in model.parameters():
        parameter.requires_grad = False
    return model.eval()


def einsum_for_head_results() -> None:
    """One line of transformer-lens' attention, faster: `(z * w).sum(-2)` makes an array of
    [batch, pos, head, d_head, d_model] before it sums."""
    from transformer_lens.components import abstract_attention

    owner = abstract_attention.AbstractAttention
    source = textwrap.dedent(inspect.getsource(owner.forward))
    slow, fast = "(z * w).sum(-2)", 'torch.einsum("bphdx,yzhdm->bphm", z, w)'
    if source.count(slow) != 1:
        raise RuntimeError(f"transformer-lens' attention has no line with {slow}")
    space: dict[str, Any] = {}
    exec(source.replace(slow, fast), vars(abstract_attention), space)
    owner.forward = space["forward"]


def model_and_prompts(folder: Path, batch: int) -> tuple[Any, Any]:
    """The reference's own, of the folder's."""
    from auto_circuit.data import PromptDataLoader, PromptDataset
    from auto_circuit.utils.graph_utils import patchable_model

    model = patchable_model(
        load(folder),
        factorized=True,
        slice_output="last_seq",
        separate_qkv=True,
        device=torch.device("cpu"),
    )
    dataset = PromptDataset(**torch.load(folder / "prompts.pt", weights_only=True))
    return model, PromptDataLoader(dataset, seq_len=None, diverge_idx=0, batch_size=batch)


def acdc(folder: Path, settings: dict[str, Any]) -> None:
    """The reference's function, as it is."""
    from auto_circuit.prune_algos.ACDC import acdc_prune_scores

    torch.set_num_threads(1)
    model, loader = model_and_prompts(folder, settings["batch"])
    began, processor = time.perf_counter(), time.process_time()
    acdc_prune_scores(model, loader, None, **settings["acdc"])
    spent = {"wall": time.perf_counter() - began, "processor": time.process_time() - processor}
    print(json.dumps(spent))


def train(folder: Path, settings: dict[str, Any]) -> None:
    """The reference's function, as it is."""
    from auto_circuit.prune_algos.subnetwork_probing import subnetwork_probing_prune_scores

    torch.set_num_threads(settings["threads"])
    if settings["einsum"]:
        einsum_for_head_results()
    model, loader = model_and_prompts(folder, settings["batch"])
    TimedAdam.keep_every = settings.get("keep_every")
    torch.manual_seed(settings.get("seed", 0))
    began = {"began": time.perf_counter(), "processor_began": time.process_time()}
    scores = subnetwork_probing_prune_scores(model, loader, None, **settings["training"])
    torch.save(scores, folder / f"scores-{settings['name']}.pt")
    if TimedAdam.keep_every is not None:
        sign = -1 if settings["training"]["tree_optimisation"] else 1
        kept = {
            "scores": [scores_of(scores.keys(), masks, sign) for masks in MASKS],
            "logits": model(next(iter(loader)).clean)[model.out_slice].detach(),
        }
        torch.save(kept, folder / f"kept-{settings['name']}.pt")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    stamps = {"stamps": STAMPS, "processor": PROCESSOR, **began}
    print(json.dumps({**stamps, "peak_bytes": peak, "edges": len(model.edges)}))


def scores_of(names: Iterable[str], masks: list[torch.Tensor], sign: int) -> dict[str, Any]:
    """What the reference returns for these parameters: see the end of its function."""
    extreme = abs(max((-sign * each).max().item() for each in masks))
    return {name: extreme + sign * each for name, each in zip(names, masks, strict=True)}


if __name__ == "__main__":
    action, at = sys.argv[1], Path(sys.argv[2])
    if action == "convert":
        convert(at)
    else:
        {"train": train, "acdc": acdc}[action](at, json.loads(sys.argv[3]))
