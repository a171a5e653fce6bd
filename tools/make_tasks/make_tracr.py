"""Compile the tracr tasks and write their assets.

The models are compiled from RASP programs by tracr (Lindner et al. 2023, arXiv 2301.05062):
their weights follow from the program alone, nothing is trained. `reverse` returns the
sequence backwards, `xproportion` at every position the share of "x" so far; both are the
tasks of ACDC (Conmy et al. 2023) and of auto-circuit (Miller et al. 2024). `sort`, `histogram`
and `pair-balance` are programs of the RASP paper (Weiss et al. 2021, arXiv 2106.06981) as in
tracr's library; the last has two heads in one layer.

The compiler brings JAX along, so it lives in an environment of its own:

    python -m venv /tmp/tracr-env
    /tmp/tracr-env/bin/pip install -r tools/make_tasks/requirements-tracr.txt
    /tmp/tracr-env/bin/python tools/make_tasks/make_tracr.py

Written per task: `config.json` and `model.safetensors` (a native TransformerLens model, keys
as in `TransformerBridge.state_dict()`), `prompts.json` (every possible input, in the format of
`load_datasets_from_json`), `metadata.json` (the vocabulary and the edges, see
`edges_that_matter`). And, for the tests,
`tests/tasks/fixtures/tracr_outputs.safetensors`: what tracr's own JAX model returns for every
prompt. The script stops if a converted model disagrees with tracr.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
TOLERANCE = 1e-4
"""Logits that differ by less are equal: the models run in float32 with logits up to 1."""


Positions = Mapping[str, Sequence[int]]
"""Names of edges to the token positions meant."""


@dataclass(frozen=True)
class TracrTask:
    """One program: `vocab` in the order in which inputs are enumerated."""

    name: str
    vocab: tuple[Any, ...]
    answer: Callable[[Sequence[Any]], list[Any]]
    """The program in plain Python: tokens (no BOS) to one output per token."""
    program: Callable[[], Any]
    """The program in RASP.

    Every step is named, since the names order the residual basis: tracr numbers nameless steps
    with a counter of the process, and the weights would depend on what ran before.
    """
    published: Positions = field(default_factory=dict)
    """The circuit of Miller et al. 2024, where they have one."""


# --- the programs: in plain Python and in RASP ------------------------------------------------


def x_proportion(tokens: Sequence[str]) -> list[float]:
    """At every position, the share of "x" among the tokens up to and including it."""
    return [tokens[:end].count("x") / end for end in range(1, len(tokens) + 1)]


def x_proportion_program() -> Any:
    """Mark every "x", then average the marks up to each position."""
    from tracr.compiler.lib import make_frac_prevs
    from tracr.rasp import rasp

    return make_frac_prevs((rasp.tokens == "x").named("is_x"))


def reverse(tokens: Sequence[int]) -> list[int]:
    """The tokens backwards."""
    return list(reversed(tokens))


def reverse_program() -> Any:
    """Fetch the token at position length - 1 - index."""
    from tracr.rasp import rasp

    everything = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.TRUE).named("all")
    length = rasp.SelectorWidth(everything).named("length")
    last = (length - rasp.indices).named("length_minus_index")
    opposite = (last - 1).named("opposite_index")
    flip = rasp.Select(rasp.indices, opposite, rasp.Comparison.EQ).named("flip")
    return rasp.Aggregate(flip, rasp.tokens)


def sort_program() -> Any:
    """Count the smaller keys, then fetch the token whose count is the index.

    A key is token + index / length, so that no two are equal.
    """
    from tracr.rasp import rasp

    key = rasp.SequenceMap(
        lambda token, index: token + index / SEQ_LEN, rasp.tokens, rasp.indices
    ).named("key")
    smaller = rasp.Select(key, key, rasp.Comparison.LT).named("smaller")
    target = rasp.SelectorWidth(smaller).named("target_position")
    fetch = rasp.Select(target, rasp.indices, rasp.Comparison.EQ).named("fetch")
    return rasp.Aggregate(fetch, rasp.tokens)


def histogram(tokens: Sequence[str]) -> list[int]:
    """At every position, how often its token occurs in the whole input."""
    counts = Counter(tokens)
    return [counts[token] for token in tokens]


def histogram_program() -> Any:
    """Count the positions with the same token."""
    from tracr.rasp import rasp

    same = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ).named("same_token")
    return rasp.SelectorWidth(same)


def pair_balance(tokens: Sequence[str]) -> list[float]:
    """At every position, the share of "(" minus the share of ")" so far."""
    return [
        (tokens[:end].count("(") - tokens[:end].count(")")) / end
        for end in range(1, len(tokens) + 1)
    ]


def pair_balance_program() -> Any:
    """Average the marks of "(" in one head, those of ")" in another, and subtract."""
    from tracr.rasp import rasp

    so_far = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LEQ).named("so_far")

    def share(wanted: str, name: str) -> Any:
        marks = rasp.numerical(rasp.Map(lambda token: token == wanted, rasp.tokens))
        average = rasp.Aggregate(so_far, marks.named(f"is_{name}"), default=0)
        return rasp.numerical(average).named(f"share_of_{name}")

    return rasp.numerical(rasp.LinearSequenceMap(share("(", "open"), share(")", "close"), 1, -1))


TASKS = (
    TracrTask(
        "tracr-xproportion",
        ("w", "x", "y", "z"),
        x_proportion,
        x_proportion_program,
        {
            "Resid Start->MLP 0": (1, 2, 3, 4, 5),
            "MLP 0->A1.0.V": (1, 2, 3, 4, 5),
            "A1.0->Resid End": (1, 2, 3, 4, 5),
        },
    ),
    TracrTask(
        "tracr-reverse",
        (1, 2, 3),
        reverse,
        reverse_program,
        {"Resid Start->A3.0.V": (1, 2, 4, 5), "A3.0->Resid End": (1, 2, 4, 5)},
    ),
    TracrTask("tracr-sort", (1, 2, 3), sorted, sort_program),
    TracrTask("tracr-histogram", ("a", "b", "c", "d"), histogram, histogram_program),
    TracrTask("tracr-pair-balance", ("(", ")", "x"), pair_balance, pair_balance_program),
)

# --- prompts ----------------------------------------------------------------------------------


def make_prompts(
    task: TracrTask,
    token_ids: Mapping[str, int],
    output_ids: Mapping[str, int] | None,
    seed: int = SEED,
) -> dict[str, Any]:
    """Every input of `task` as a clean prompt, each with another random input as corrupt prompt.

    `token_ids`: the compiled model's vocabulary. `output_ids`: which logit stands for which
    output, `None` where the only logit is the output itself. Answers are the indices of logits
    or the numbers; one per position, BOS left out.
    """
    rng = random.Random(f"{task.name} {seed}")
    inputs = list(product(task.vocab, repeat=SEQ_LEN))

    def encode(tokens: Sequence[Any]) -> list[int]:
        return [token_ids[str(token)] for token in (BOS, *tokens)]

    def answers(tokens: Sequence[Any]) -> list[list[Any]]:
        outputs = task.answer(tokens)
        return [[output if output_ids is None else output_ids[str(output)]] for output in outputs]

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
    seq_labels = [BOS, *(f"token {position}" for position in range(1, SEQ_LEN + 1))]
    return {"seq_labels": seq_labels, "prompts": prompts}


# --- the compiled model -----------------------------------------------------------------------


def compile_program(task: TracrTask) -> Any:
    """The program compiled by tracr (an `AssembledTransformerModel`)."""
    from tracr.compiler import compiling

    return compiling.compile_rasp_to_model(
        task.program().named("output"),
        vocab=set(task.vocab),
        max_seq_len=SEQ_LEN,
        compiler_bos=BOS,
    )


def residual_labels(model: Any) -> list[str]:
    """What each residual dimension stands for, such as `tokens:x`, without tracr's counters."""
    return [re.sub(r"_\d+(?=$|:|_selector_width)", "", label) for label in model.residual_labels]


def output_ids(model: Any) -> dict[str, int] | None:
    """Which logit stands for which output; `None` for a program that returns a number."""
    encoding = getattr(model.output_encoder, "encoding_map", None)
    if encoding is None:
        return None
    return {str(output): int(index) for output, index in encoding.items()}


def output_directions(model: Any) -> list[int]:
    """The residual dimensions that hold the output: what the unembedding reads."""
    labels, ids = residual_labels(model), output_ids(model)
    if ids is None:
        return [labels.index("output")]
    return [labels.index(f"output:{output}") for output in sorted(ids, key=ids.__getitem__)]


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
        # A number as it is, or the index of the output among all outputs.
        wanted = np.array(prompt["answers"])[:, 0]
        if not np.allclose(output[1:], wanted, atol=1e-6):
            raise ValueError(f"tracr returns {output} for {prompt['clean']}, not {wanted}")
    residual = np.asarray(result.transformer_output.output, dtype=np.float32)
    return np.ascontiguousarray(residual[..., output_directions(model)])


# --- the circuit ------------------------------------------------------------------------------


def edges_that_matter(
    config: Mapping[str, Any], weights: Mapping[str, Any], prompts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The edges that change the output when they alone are patched, for each direction.

    `ablate` runs the clean prompt and gives one edge its corrupt value, `restore` runs the
    corrupt prompt and gives one edge its clean value; an edge is named when any logit of any
    prompt changes by more than `TOLERANCE`. `gap` says how far from it all edges stay.
    """
    import numpy as np
    from single_edges import DIRECTIONS, CompiledModel, single_edge_effects

    clean, corrupt = (
        np.array([prompt[side] for prompt in prompts]) for side in ("clean", "corrupt")
    )
    effects = single_edge_effects(CompiledModel(config, weights), clean, corrupt)
    result: dict[str, Any] = {}
    for index, direction in enumerate(DIRECTIONS):
        edges: dict[str, list[int]] = {}
        for edge, effect in effects.items():
            if effect[index] > TOLERANCE:
                edges.setdefault(edge.name, []).append(edge.position)
        sizes = [effect[index] for effect in effects.values()]
        result[direction] = {
            "edges": edges,
            "gap": {
                "largest_outside": max(size for size in sizes if size <= TOLERANCE),
                "smallest_inside": min(size for size in sizes if size > TOLERANCE),
            },
        }
    return result


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    FIXTURES.mkdir(parents=True, exist_ok=True)
    fixtures = {}
    for task in TASKS:
        model = compile_program(task)
        encoding = model.input_encoder.encoding_map
        token_ids = {str(token): int(index) for token, index in encoding.items()}
        prompts = make_prompts(task, token_ids, output_ids(model))
        fixtures[task.name] = tracr_outputs(model, prompts["prompts"])
        config, weights = native_config(task, model), native_weights(model)
        metadata = {
            "vocabulary": token_ids,
            "outputs": output_ids(model),
            "residual_labels": residual_labels(model),
            "published_circuit": task.published or None,
            "single_edges": edges_that_matter(config, weights, prompts["prompts"]),
        }

        folder = ASSETS / task.name
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / "model.safetensors", weights)
        write_json(folder / "config.json", config, indent=2)
        write_json(folder / "metadata.json", metadata, indent=2)
        write_json(folder / "prompts.json", prompts)
        print(f"{task.name}: {len(prompts['prompts'])} prompts, tracr agrees on all of them")
        for direction, found in metadata["single_edges"].items():
            n_edges = sum(map(len, found["edges"].values()))
            print(f"  {direction}: {n_edges} edges, {found['gap']}")
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
