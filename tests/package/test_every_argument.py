"""Whatever is given for an argument of a public function: it works, or our own error names it.

Each argument of each function in turn is replaced by each of the values that were found to end in
somebody else's error, all others being right. Functions that train are here by their configs, which
check all settings; what they take beside these is in tests/circuits/test_arguments.py.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy
import torch

import sp_widget as sp
from sp_widget.errors import ArgumentError
from tests.model_kinds import bridge, dataloader

OURS = (ArgumentError, sp.PromptFileError, sp.UnsupportedModelError, sp.StateError)


class Unreadable:
    """Something whose text raises, as anybody's may."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    2**64,
    10**6000,
    1e40,
    1e308,
    1e-320,
    math.nan,
    math.inf,
    "",
    "nope",
    "cuda:99",
    "a\0b",
    "\ud800",
    "x" * 100_000,
    b"bytes",
    [],
    [1, 2],
    ["x"],
    [None],
    {},
    {"x": 1},
    {"blocks.0.hook_q_input": "x"},
    (),
    (1, 2, 3),
    numpy.ones(2),
    numpy.array(["kl_div"]),
    numpy.float32(0.5),
    torch.ones(2),
    torch.ones(2, 3),
    torch.tensor(math.nan),
    torch.ones(2, 3, dtype=torch.long) * 10**6,
    torch.ones(1, device="meta"),
    torch.ones(2, 2).to_sparse(),
    torch.nn.Linear(2, 2),
    range(3),
    object(),
    int,
    lambda: None,
    Unreadable(),
)


def calls(folder: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Functions by name, with arguments that are right."""
    model = sp.patchable_model(bridge("native-attention-only"))
    loader = dataloader()
    scores = model.new_prune_scores()
    edges = sorted(model.edges, key=str)[:3]
    prompts = folder / "prompts.json"
    prompts.write_text(
        '{"prompts": [{"clean": [1, 2], "corrupt": [1, 3], "answers": [4], "wrong_answers": [5]},'
        ' {"clean": [1, 2], "corrupt": [1, 3], "answers": [4], "wrong_answers": [5]}]}'
    )
    tokens = torch.ones(2, 3, dtype=torch.long)
    answers = torch.ones(2, 1, dtype=torch.long)
    dataset = sp.PromptDataset(tokens, tokens, answers, answers)
    both = {"model": model, "dataloader": loader}
    saved = sp.PruneScores(scores, model.graph)
    saved.save(folder / "scores.json")
    return {
        "patchable_model": (
            sp.patchable_model,
            {
                "model": model.wrapped_model,
                "factorized": True,
                "slice_output": "last_seq",
                "seq_len": None,
                "separate_qkv": True,
                "device": None,
            },
        ),
        "model": (model, {"tokens": tokens, "attention_mask": None, "prefix": None}),
        "new_prune_scores": (model.new_prune_scores, {"init_val": 0.0}),
        "src_ablations": (
            sp.src_ablations,
            {"model": model, "sample": tokens, "ablation_type": sp.AblationType.ZERO},
        ),
        **{
            name: (
                function,
                {
                    "model": model,
                    **first,
                    "pair": loader.dataset[0],
                    "prune_scores": scores,
                    "n_edges": 3,
                    "patch_type": sp.PatchType.TREE_PATCH,
                    "ablation_type": sp.AblationType.RESAMPLE,
                    "dataloader": None,
                    "top": 5,
                },
            )
            for name, function, first in (
                ("predictions", sp.predictions, {}),
                ("look_into", sp.look_into, {"node": "A0.1"}),
            )
        },
        "per_prompt": (
            sp.per_prompt,
            {
                **both,
                "prune_scores": scores,
                "n_edges": 3,
                "patch_type": sp.PatchType.TREE_PATCH,
                "ablation_type": sp.AblationType.RESAMPLE,
            },
        ),
        "patch_mode": (
            _entered,
            {"model": model, "patch_src_outs": sp.src_ablations(model, tokens), "edges": edges},
        ),
        "run_circuits": (
            sp.run_circuits,
            {
                **both,
                "test_edge_counts": [1],
                "prune_scores": scores,
                "patch_type": sp.PatchType.EDGE_PATCH,
                "ablation_type": sp.AblationType.RESAMPLE,
            },
        ),
        "PruneScores": (sp.PruneScores, {"scores": scores, "graph": model.graph}),
        "PruneScores.load": (
            sp.PruneScores.load,
            {"path": folder / "scores.json", "graph": model.graph},
        ),
        "PruneScores.save": (saved.save, {"path": folder / "scores.json"}),
        "PruneScores.top": (saved.top, {"n_edges": 3}),
        "PruneScores.to_networkx": (saved.to_networkx, {"n_edges": 3}),
        "top_edges": (sp.top_edges, {"prune_scores": scores, "n_edges": 3}),
        "PromptDataset": (
            sp.PromptDataset,
            {
                "clean_prompts": tokens,
                "corrupt_prompts": tokens,
                "answers": answers,
                "wrong_answers": answers,
                "clean_attention_mask": None,
                "corrupt_attention_mask": None,
            },
        ),
        "PromptDataLoader": (
            sp.PromptDataLoader,
            {
                "prompt_dataset": dataset,
                "seq_len": None,
                "diverge_idx": 0,
                "batch_size": 2,
                "shuffle": False,
                "seq_labels": None,
                "word_idxs": None,
                "drop_last": False,
                "generator": None,
                "prefix": None,
            },
        ),
        "load_datasets_from_json": (
            sp.load_datasets_from_json,
            {
                "model": None,
                "path": prompts,
                "device": "cpu",
                "prepend_bos": False,
                "batch_size": 1,
                "train_test_size": (1, 1),
                "return_seq_length": False,
                "tail_divergence": False,
                "shuffle": True,
                "random_seed": 42,
                "pad": True,
            },
        ),
        "auroc": (
            sp.auroc,
            {"model": model, "prune_scores": scores, "official_edges": edges, "per": "edge"},
        ),
        "snapshot": (
            sp.snapshot,
            {
                "model": model,
                "prune_scores": scores,
                "history": (),
                "evaluations": (),
                "config": None,
                "official_edges": edges,
                "seq_labels": None,
                "n_edges": 3,
                "title": "title",
                "switches": (),
                "prompts": loader,
                "patch_type": sp.PatchType.TREE_PATCH,
                "ablation_type": sp.AblationType.RESAMPLE,
            },
        ),
        "ground_truth_prune_scores": (
            sp.ground_truth_prune_scores,
            {**both, "official_edges": edges},
        ),
        "methods.get": (sp.methods.get, {"name": "acdc"}),
        **{
            f"{name} config": (
                Config := sp.methods.get(name).Config,
                {field.name: field.default for field in fields(Config)},
            )
            for name in sp.methods.names()
        },
    }


def _entered(**arguments: Any) -> None:
    context: AbstractContextManager[Any] = sp.patch_mode(**arguments)
    with context:
        pass


def test_whatever_is_given_for_an_argument_works_or_is_refused_by_name(tmp_path: Path) -> None:
    failures, n_calls = [], 0
    for name, (function, right) in calls(tmp_path).items():
        for argument in right:
            for value in WRONG:
                n_calls += 1
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        function(**{**right, argument: value})
                except OURS as error:
                    if len(str(error)) > 1000:
                        failures.append(f"{name}({argument}=…): {len(str(error))} letters")
                except Exception as error:
                    shown = str(type(value)) if isinstance(value, Unreadable) else repr(value)[:60]
                    text = f"{type(error).__name__}: {str(error)[:80]}"
                    failures.append(f"{name}({argument}={shown}): {text}")
    assert not failures, f"{len(failures)} of {n_calls} calls:\n" + "\n".join(failures)
