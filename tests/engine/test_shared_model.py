"""Other work on the same model while a training runs: what it may do, and what is found out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sp_widget.circuits.ablations import src_ablations
from sp_widget.circuits.check_model import check_model
from sp_widget.circuits.run_circuits import run_circuits
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from sp_widget.errors import ArgumentError, ModelChangedError
from sp_widget.evaluation.node_on_prompt import look_into
from sp_widget.evaluation.per_prompt import per_prompt
from sp_widget.evaluation.predictions import predictions
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from tests import model_kinds
from tests.models.fingerprint import fingerprint

KINDS = pytest.mark.parametrize("kind", ["gpt2", "neox-parallel", "native-gqa-rotary"])

GENERATE: dict[str, Any] = {
    "max_new_tokens": 3,
    "do_sample": False,
    "stop_at_eos": False,
    "verbose": False,
    "return_type": "tokens",
}


def _trainer(model: PatchableModel, epochs: int = 3) -> SubnetworkProbing:
    config = SubnetworkProbingConfig(epochs=epochs, seed=0)
    return SubnetworkProbing(model, model_kinds.dataloader(), config, model_kinds.dataloader())


def _scores(trainer: SubnetworkProbing) -> Tensor:
    return torch.cat([s.flatten() for s in trainer.run(progress=False).values()])


def _undisturbed(kind: str) -> Tensor:
    return _scores(_trainer(patchable_model(model_kinds.new_bridge(kind))))


def _tokens() -> Tensor:
    return next(iter(model_kinds.dataloader())).clean


# --- hooks --------------------------------------------------------------------------------------


def _forbidden(*_: Any) -> None:
    raise AssertionError("a module of the user's model ran")


@pytest.mark.parametrize("kind", model_kinds.KINDS)
def test_nothing_but_a_plain_call_runs_a_module_of_the_users_model(kind: str) -> None:
    """So no hook of the user's can see or change a training."""
    bridge = model_kinds.new_bridge(kind)
    model = patchable_model(bridge)
    trainer = _trainer(model, epochs=1)
    for module in bridge.modules():
        module.register_forward_pre_hook(_forbidden)
    trainer.run(progress=False)
    nodes = model.engine.plain(trainer.batches[0].inputs)
    assert all(part.isfinite().all() for part in nodes)


@pytest.mark.parametrize(
    "where", ["blocks.0.mlp.hook_post", "blocks.0.hook_mlp_out", "unembed.hook_out", "hook_embed"]
)
@pytest.mark.parametrize("kind", ["gpt2", "native-compatibility"])
def test_a_hook_that_zeroes_activations_during_a_training_changes_nothing_of_it(
    kind: str, where: str
) -> None:
    bridge = model_kinds.new_bridge(kind)
    trainer = _trainer(patchable_model(bridge))
    point = bridge.hook_dict.get(where)
    if point is None:
        pytest.skip(f"a {kind} model has no {where}")
    point.add_hook(lambda activation, hook: torch.zeros_like(activation))
    assert torch.equal(_scores(trainer), _undisturbed(kind))


@contextmanager
def _in_the_background(action: Callable[[], object]) -> Iterator[threading.Thread]:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()
    for failure in failures:
        raise failure


@KINDS
def test_calls_caches_and_texts_during_a_training_are_right_and_so_is_the_training(
    kind: str,
) -> None:
    bridge = model_kinds.new_bridge(kind)
    tokens = _tokens()[:2]
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(tokens)
        text = bridge.generate(tokens, **GENERATE)
    trainer, result = _trainer(patchable_model(bridge), epochs=20), []
    with _in_the_background(lambda: result.append(_scores(trainer))) as training:
        n_calls = 0
        while training.is_alive() or n_calls == 0:
            with torch.no_grad():
                assert torch.equal(bridge(tokens), logits)
                again_logits, again = bridge.run_with_cache(tokens)
                assert torch.equal(again_logits, logits)
                assert all(torch.equal(again[name], cache[name]) for name in cache)
                more = bridge.generate(tokens, **GENERATE)
                assert torch.equal(more, text)
            n_calls += 1
    alone = _scores(_trainer(patchable_model(model_kinds.new_bridge(kind)), epochs=20))
    assert torch.equal(result[0], alone)


@KINDS
def test_two_trainings_on_one_model_are_each_what_it_is_alone(kind: str) -> None:
    bridge = model_kinds.new_bridge(kind)
    one = patchable_model(bridge)
    for other in (one, patchable_model(bridge)):  # of one patchable model, or of two of one model
        first, second = _trainer(one), _trainer(other)
        with _in_the_background(first.run):
            scores = _scores(second)
        assert torch.equal(scores, _scores(first))
        assert torch.equal(scores, _undisturbed(kind))


def test_circuits_and_checks_run_while_a_training_prepares() -> None:
    model = patchable_model(model_kinds.new_bridge("gpt2"))
    dataloader = model_kinds.dataloader()
    scores = _trainer(model).prune_scores
    alone = run_circuits(model, dataloader, [5], scores)[5]

    def prepare() -> None:
        for _ in range(30):
            assert list(_trainer(model).preparation())[-1] == (6, 6)

    with _in_the_background(prepare) as preparing:
        while preparing.is_alive():
            found = run_circuits(model, dataloader, [5], scores)[5]
            assert all(torch.equal(found[key], alone[key]) for key in alone)
            check_model(model, dataloader)
            with torch.no_grad():
                model(_tokens()[:1])


@pytest.mark.parametrize("kind", ["gpt2", "native-ln"])
def test_hooks_that_are_attached_when_something_is_asked_for_are_refused(kind: str) -> None:
    """They would have no effect, which who attached them does not expect."""
    bridge = model_kinds.new_bridge(kind)
    model, dataloader = patchable_model(bridge), model_kinds.dataloader()
    patch, scores = src_ablations(model, _tokens()), _trainer(model).prune_scores

    def call_patched() -> None:
        with patch_mode(model, patch):
            model(_tokens())

    actions: list[Callable[[], object]] = [
        lambda: patchable_model(bridge),
        lambda: _trainer(model),
        call_patched,
        lambda: src_ablations(model, _tokens()),
        lambda: run_circuits(model, dataloader, [5], scores),
        lambda: check_model(model, dataloader),
    ]
    attach: list[Callable[[], Any]] = [
        lambda: bridge.blocks[1].attn.register_forward_hook(lambda *_: None),
        lambda: bridge.add_hook("blocks.1.attn.hook_z", lambda z, hook: z * 0),
        lambda: bridge.add_perma_hook("blocks.1.attn.hook_z", lambda z, hook: z * 0),
    ]
    for hook in attach:
        handle = hook()
        for action in actions:
            with pytest.raises(ArgumentError, match=r"blocks\.1\.attn") as error:
                action()
            assert error.value.argument == "model"
        bridge.reset_hooks(including_permanent=True)
        if handle is not None:
            handle.remove()
        for action in actions:
            action()
    with bridge.hooks(fwd_hooks=[("blocks.1.attn.hook_z", lambda z, hook: z * 0)]):
        for action in actions:
            with pytest.raises(ArgumentError, match=r"blocks\.1\.attn"):
                action()


def test_the_flags_that_the_reference_asks_for_are_no_hooks() -> None:
    """They let a bridge attach hooks of its own."""
    bridge = model_kinds.new_bridge("gpt2")
    bridge.set_use_attn_result(True)
    bridge.set_use_split_qkv_input(True)
    bridge.set_use_hook_mlp_in(True)
    bridge.run_with_cache(_tokens())
    before = fingerprint(bridge)
    scores = _scores(_trainer(patchable_model(bridge)))
    assert fingerprint(bridge) == before
    torch.testing.assert_close(scores, _undisturbed("gpt2"), atol=1e-4, rtol=1e-4)


# --- weights ------------------------------------------------------------------------------------


def _write(bridge: Any) -> None:
    with torch.no_grad():
        bridge.blocks[1].mlp.out.original_component.weight[0, 0] += 1


def _write_uncounted(bridge: Any) -> None:
    bridge.blocks[1].mlp.out.original_component.weight.data[0, 0] += 1


def _swap_rows_uncounted(bridge: Any) -> None:
    weight = bridge.blocks[1].mlp.out.original_component.weight.data
    weight[[0, 1]] = weight[[1, 0]]


def _swap_columns_uncounted(bridge: Any) -> None:
    weight = bridge.blocks[1].mlp.out.original_component.weight.data
    weight[:, [0, 1]] = weight[:, [1, 0]]


def _replace(bridge: Any) -> None:
    layer = bridge.blocks[1].mlp.out.original_component
    layer.weight = nn.Parameter(layer.weight.detach() * 2)


def _reload(bridge: Any) -> None:
    layer = bridge.blocks[1].mlp.out.original_component
    layer.load_state_dict({name: value * 2 for name, value in layer.state_dict().items()})


def _fine_tune(bridge: Any) -> None:
    parameters = list(bridge.blocks[1].mlp.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=0.1)
    torch.stack([parameter.square().sum() for parameter in parameters]).sum().backward()
    optimizer.step()


def _change_precision(bridge: Any) -> None:
    nn.Module.to(bridge, torch.float64)


COUNTED = [_write, _replace, _reload, _fine_tune, _change_precision]
UNCOUNTED = [_write_uncounted, _swap_rows_uncounted, _swap_columns_uncounted]


@pytest.mark.parametrize("change", COUNTED)
def test_weights_changed_during_a_training_stop_it_at_the_next_step(
    change: Callable[[Any], None],
) -> None:
    bridge = model_kinds.new_bridge("gpt2")
    model = patchable_model(bridge)
    trainer = _trainer(model, epochs=1000)
    trainer.step()
    change(bridge)
    with pytest.raises(ModelChangedError, match=r"patchable_model\(model\) again") as error:
        trainer.step()
    assert any("blocks.1.mlp" in name for name in error.value.changed)
    assert trainer.step_count == 1


@pytest.mark.parametrize("change", UNCOUNTED)
def test_weights_changed_behind_torchs_back_stop_a_training_before_it_ends(
    change: Callable[[Any], None],
) -> None:
    bridge = model_kinds.new_bridge("gpt2")
    trainer = _trainer(patchable_model(bridge))
    trainer.step()
    change(bridge)
    with pytest.raises(ModelChangedError, match=r"blocks\.1\.mlp"):
        trainer.run(progress=False)
    assert not trainer.done


def test_weights_changed_behind_torchs_back_stop_a_long_training_on_the_way() -> None:
    bridge = model_kinds.new_bridge("gpt2")
    trainer = _trainer(patchable_model(bridge), epochs=100_000)
    trainer.step()
    _write_uncounted(bridge)
    with pytest.raises(ModelChangedError, match=r"blocks\.1\.mlp"):
        trainer.run(progress=False)


@pytest.mark.parametrize("factorized", [True, False])
@pytest.mark.parametrize("change", [*COUNTED, *UNCOUNTED])
def test_weights_changed_before_a_training_are_refused(
    change: Callable[[Any], None], factorized: bool
) -> None:
    bridge = model_kinds.new_bridge("gpt2")
    model = patchable_model(bridge, factorized=factorized)
    change(bridge)
    for action in (
        lambda: _trainer(model).step(),
        lambda: check_model(model, model_kinds.dataloader()),
    ):
        with pytest.raises(ModelChangedError):
            action()
    nn.Module.to(bridge, torch.float32)
    _trainer(patchable_model(bridge, factorized=factorized)).step()


@pytest.mark.parametrize("change", [*COUNTED, *UNCOUNTED])
def test_weights_changed_before_a_circuit_runs_are_refused(change: Callable[[Any], None]) -> None:
    bridge = model_kinds.new_bridge("gpt2")
    model, dataloader = patchable_model(bridge), model_kinds.dataloader()
    patch, scores = src_ablations(model, _tokens()), _trainer(model).prune_scores
    pair = dataloader.dataset[0]
    change(bridge)
    for on_prompts in (
        lambda: predictions(model, pair, scores, 5),
        lambda: look_into(model, "A0.0", pair, scores, 5),
        lambda: per_prompt(model, dataloader, scores, 5),
    ):
        with pytest.raises(ModelChangedError):
            on_prompts()
    with pytest.raises(ModelChangedError):
        run_circuits(model, dataloader, [5], scores)
    with pytest.raises(ModelChangedError):
        src_ablations(model, _tokens())
    with pytest.raises(ModelChangedError), patch_mode(model, patch):
        model(_tokens())


def test_modules_replaced_before_a_training_are_refused() -> None:
    bridge = model_kinds.new_bridge("gpt2")
    model = patchable_model(bridge)
    bridge.blocks[1].mlp.original_component.act = nn.ReLU()
    with pytest.raises(ModelChangedError, match="its modules"):
        _trainer(model).step()
