"""Compile the two tracr tasks and write their assets.

The models are compiled from RASP programs by tracr (Lindner et al. 2023, arXiv 2301.05062):
their weights follow from the program alone, nothing is trained. `reverse` returns the
sequence backwards, `xproportion` at every position the share of "x" so far; both are the
tasks of ACDC (Conmy et al. 2023) and of auto-circuit (Miller et al. 2024).

The compiler brings JAX along, so it lives in an environment of its own:

    python -m venv /tmp/tracr-env
    /tmp/tracr-env/bin/pip install -r tools/make_tasks/requirements-tracr.txt
    /tmp/tracr-env/bin/python tools/make_tasks/make_tracr.py

Written per task: `config.json` and `model.safetensors` (a native TransformerLens model, keys
as in `TransformerBridge.state_dict()`), `prompts.json` (every possible input, in the format of
`load_datasets_from_json`), `metadata.json` (the vocabulary). And, for the tests,
`tests/tasks/fixtures/tracr_outputs.safetensors`: what tracr's own JAX model returns for every
prompt. The script stops if a converted model disagrees with tracr.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "sp_widget" / "tasks" / "assets"
FIXTURES = ROOT / "tests" / "tasks" / "fixtures"

BOS = "BOS"
SEQ_LEN = 5
"""Tokens of an input, BOS not counted."""
SEED = 0
"""Seed of the corrupt prompts: another input, drawn at random."""


@dataclass(frozen=True)
class TracrTask:
    """One program: `vocab` in the order in which inputs are enumerated."""

    name: str
    vocab: tuple[Any, ...]
    answer: Callable[[Sequence[Any]], list[Any]]
    """The program in plain Python: tokens (no BOS) to one output per token."""
    seq_labels: tuple[str, ...]


def x_proportion(tokens: Sequence[str]) -> list[float]:
    """At every position, the share of "x" among the tokens up to and including it."""
    return [tokens[:end].count("x") / end for end in range(1, len(tokens) + 1)]


def reverse(tokens: Sequence[int]) -> list[int]:
    """The tokens backwards."""
    return list(reversed(tokens))


TASKS = (
    TracrTask(
        "tracr-xproportion",
        ("w", "x", "y", "z"),
        x_proportion,
        (BOS, *(f"token {position}" for position in range(1, SEQ_LEN + 1))),
    ),
    TracrTask(
        "tracr-reverse",
        (1, 2, 3),
        reverse,
        (BOS, *(f"token {position}" for position in range(1, SEQ_LEN + 1))),
    ),
)


def make_prompts(task: TracrTask, token_ids: Mapping[str, int], seed: int = SEED) -> dict[str, Any]:
    """Every input of `task` as a clean prompt, each with another random input as corrupt prompt.

    `token_ids`: the compiled model's vocabulary. Answers of `tracr-reverse` are token ids,
    answers of `tracr-xproportion` the numbers themselves; one per position, BOS left out.
    """
    rng = random.Random(f"{task.name} {seed}")
    inputs = list(product(task.vocab, repeat=SEQ_LEN))

    def encode(tokens: Sequence[Any]) -> list[int]:
        return [token_ids[str(token)] for token in (BOS, *tokens)]

    def answers(tokens: Sequence[Any]) -> list[list[Any]]:
        outputs = task.answer(tokens)
        if task.name == "tracr-reverse":
            outputs = encode(outputs)[1:]
        return [[output] for output in outputs]

    prompts = []
    for index, clean in enumerate(inputs):
        # One fewer choice, shifted past `index`: any input but this one, all equally likely.
        other = rng.randrange(len(inputs) - 1)
        corrupt = inputs[other + (other >= index)]
        prompts.append(
            {
                "clean": encode(clean),
                "corrupt": encode(corrupt),
                "answers": answers(clean),
                "wrong_answers": answers(corrupt),
            }
        )
    return {"seq_labels": list(task.seq_labels), "prompts": prompts}


def compile_program(name: str) -> Any:
    """The program compiled by tracr (an `AssembledTransformerModel`), one head a layer."""
    from tracr.compiler import compiling
    from tracr.compiler.lib import make_frac_prevs
    from tracr.rasp import rasp

    # Every step is named, since the names order the residual basis: tracr numbers nameless
    # steps with a counter of the process, and the weights would depend on what ran before.
    if name == "tracr-xproportion":
        is_x = (rasp.tokens == "x").named("is_x")
        program, vocab = make_frac_prevs(is_x).named("output"), {"w", "x", "y", "z"}
    else:
        everything = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.TRUE).named("all")
        length = rasp.SelectorWidth(everything).named("length")
        last = (length - rasp.indices).named("length_minus_index")
        opposite = (last - 1).named("opposite_index")
        flip = rasp.Select(rasp.indices, opposite, rasp.Comparison.EQ).named("flip")
        program, vocab = rasp.Aggregate(flip, rasp.tokens).named("output"), {1, 2, 3}
    return compiling.compile_rasp_to_model(
        program, vocab=vocab, max_seq_len=SEQ_LEN, compiler_bos=BOS
    )


def residual_labels(model: Any) -> list[str]:
    """What each residual dimension stands for, such as `tokens:x`, without tracr's counters."""
    return [re.sub(r"_\d+(?=$|:|_selector_width)", "", label) for label in model.residual_labels]


def output_directions(model: Any) -> list[int]:
    """The residual dimensions that hold the output: what the unembedding reads.

    One per output token, in the order of the input's token ids, or a single one for a number.
    """
    labels = residual_labels(model)
    if "output" in labels:
        return [labels.index("output")]
    tokens = [label.split(":")[1] for label in labels if label.startswith("output:")]
    encoding = {str(token): index for token, index in model.input_encoder.encoding_map.items()}
    return [labels.index(f"output:{token}") for token in sorted(tokens, key=encoding.__getitem__)]


def native_config(task: TracrTask, model: Any) -> dict[str, Any]:
    """Fields of a `TransformerBridgeConfig` with the compiled model's shape."""
    config = model.model_config
    n_ctx, d_model = model.params["pos_embed"]["embeddings"].shape
    if config.layer_norm or config.causal:
        raise ValueError(f"{task.name}: expected a bidirectional model without norms")
    return {
        "model_name": task.name,
        "n_layers": config.num_layers,
        "d_model": d_model,
        "n_heads": config.num_heads,
        "d_head": config.key_size,
        "d_mlp": config.mlp_hidden_size,
        "n_ctx": n_ctx,
        "d_vocab": model.params["token_embed"]["embeddings"].shape[0],
        "d_vocab_out": len(output_directions(model)),
        "act_fn": "relu",
        "normalization_type": None,
        "attention_dir": "bidirectional",
        "positional_embedding_type": "standard",
    }


def native_weights(model: Any) -> dict[str, Any]:
    """The compiled weights under a native bridge's names; linear weights are `[out, in]`."""
    import numpy as np

    params = {
        f"{module}.{name}": np.asarray(array, dtype=np.float32)
        for module, arrays in model.params.items()
        for name, array in arrays.items()
    }
    outputs = output_directions(model)
    d_model = params["token_embed.embeddings"].shape[1]
    weights = {
        "embed.weight": params["token_embed.embeddings"],
        "pos_embed.weight": params["pos_embed.embeddings"],
        "unembed.weight": np.eye(d_model, dtype=np.float32)[outputs],
        "unembed.bias": np.zeros(len(outputs), dtype=np.float32),
    }
    names = {
        "attn/query": "attn.q",
        "attn/key": "attn.k",
        "attn/value": "attn.v",
        "attn/linear": "attn.o",
        "mlp/linear_1": "mlp.in",
        "mlp/linear_2": "mlp.out",
    }
    for layer in range(model.model_config.num_layers):
        for theirs, ours in names.items():
            source, target = f"transformer/layer_{layer}/{theirs}", f"blocks.{layer}.{ours}"
            weights[f"{target}.weight"] = np.ascontiguousarray(params[f"{source}.w"].T)
            weights[f"{target}.bias"] = params[f"{source}.b"]
    return weights


def tracr_outputs(model: Any, prompts: Sequence[Mapping[str, Any]]) -> Any:
    """What tracr's own model puts on the output directions: `[prompt, seq, d_vocab_out]`.

    Raises `ValueError` where what tracr reads off its output is not the plain-Python answer.
    """
    import numpy as np

    result = model.forward(model.params, np.array([prompt["clean"] for prompt in prompts]))
    for prompt, output in zip(prompts, np.asarray(result.unembedded_output), strict=True):
        # A number as it is, or the index of a token among the outputs: its token id here.
        wanted = np.array(prompt["answers"])[:, 0]
        if not np.allclose(output[1:], wanted, atol=1e-6):
            raise ValueError(f"tracr returns {output} for {prompt['clean']}, not {wanted}")
    residual = np.asarray(result.transformer_output.output, dtype=np.float32)
    return np.ascontiguousarray(residual[..., output_directions(model)])


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    FIXTURES.mkdir(parents=True, exist_ok=True)
    fixtures = {}
    for task in TASKS:
        model = compile_program(task.name)
        encoding = model.input_encoder.encoding_map
        token_ids = {str(token): int(index) for token, index in encoding.items()}
        prompts = make_prompts(task, token_ids)
        fixtures[task.name] = tracr_outputs(model, prompts["prompts"])
        metadata = {"vocabulary": token_ids, "residual_labels": residual_labels(model)}

        folder = ASSETS / task.name
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / "model.safetensors", native_weights(model))
        write_json(folder / "config.json", native_config(task, model), indent=2)
        write_json(folder / "metadata.json", metadata, indent=2)
        write_json(folder / "prompts.json", prompts)
        print(f"{task.name}: {len(prompts['prompts'])} prompts, tracr agrees on all of them")
    write_tensors(FIXTURES / "tracr_outputs.safetensors", fixtures)


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    path.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")


def write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    from safetensors.numpy import save_file

    save_file(dict(tensors), path)
    # safetensors writes for the owner only; the file is to be packed and read by anybody.
    path.chmod(0o644)


if __name__ == "__main__":
    main()
