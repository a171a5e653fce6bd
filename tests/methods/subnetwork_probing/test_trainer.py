"""The training: what a step does, what it records, and that it can be repeated and resumed."""

from __future__ import annotations

import copy
import io
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sp_widget.circuits.ablations import src_ablations
from sp_widget.circuits.metrics import FAITHFULNESS
from sp_widget.data.prompts import PromptDataLoader, PromptDataset, PromptPairBatch
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from sp_widget.errors import ArgumentError, NonFiniteLossError, StateError
from sp_widget.methods.record import StepRecord
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.types import AblationType
from tests import model_kinds

INIT = 0.7
START = 1 / (1 + math.exp(INIT))
"""Every mask of a training with `mask_fn="sigmoid"` before its first step."""


def _model(**settings: Any) -> PatchableModel:
    return patchable_model(model_kinds.bridge("gpt2"), **settings)


def _trainer(validate: bool = False, **settings: Any) -> SubnetworkProbing:
    """Three batches, the last of one prompt."""
    config = SubnetworkProbingConfig(**{"epochs": 3, "seed": 0, **settings})
    loader = model_kinds.dataloader()
    return SubnetworkProbing(_model(), loader, config, _validation() if validate else None)


def _validation() -> PromptDataLoader:
    """Other prompts than those of the training, in two batches."""
    draw = torch.Generator().manual_seed(5)
    clean, corrupt = (torch.randint(model_kinds.N_VOCAB, (5, 6), generator=draw) for _ in range(2))
    answers, wrong = (torch.randint(model_kinds.N_VOCAB, (5, 1), generator=draw) for _ in range(2))
    return PromptDataLoader(PromptDataset(clean, corrupt, answers, wrong), batch_size=3)


def _theta(trainer: SubnetworkProbing) -> Tensor:
    return trainer.theta.detach().clone()


def _kl(model: PatchableModel, batch: PromptPairBatch, masks: Tensor) -> float:
    """KL(clean || circuit) at the last token, by way of `patch_mode` and a loop over prompts."""
    with torch.no_grad():
        clean = model(batch.clean)[:, -1].double()
        patch = src_ablations(model, batch.clean)
        for name, values in model.graph.split(masks.float()).items():
            model.patch_masks[name].copy_(values)
        with patch_mode(model, patch):
            circuit = model(batch.corrupt)[:, -1].double()
    total = 0.0
    for p, q in zip(clean.softmax(-1), circuit.softmax(-1), strict=True):
        total += sum((a * (a / b).log()).item() for a, b in zip(p, q, strict=True))
    return total / len(clean)


def _losses(trainer: SubnetworkProbing) -> list[float]:
    return [record.loss for record in trainer.history]


def _same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- one step -----------------------------------------------------------------------------------


def test_the_loss_is_faithfulness_plus_lambda_times_regularizer() -> None:
    """At the start every mask is sigmoid(-init_val); each batch in turn, the last one smaller."""
    trainer = _trainer(mask_fn="sigmoid", init_val=INIT, regularize_lambda=0.5, learning_rate=1e-9)
    model = _model()
    masks = torch.full((model.n_edges,), START)
    for batch in model_kinds.dataloader():
        record = trainer.step()
        assert record.faithfulness == pytest.approx(_kl(model, batch, masks), rel=1e-4)
        assert record.regularizer == pytest.approx(START, rel=1e-5)
        assert record.loss == pytest.approx(record.faithfulness + 0.5 * record.regularizer)
    assert len(batch.clean) == 1
    first = next(iter(model_kinds.dataloader()))
    assert trainer.step().faithfulness == pytest.approx(_kl(model, first, masks), rel=1e-4)


@pytest.mark.parametrize("tree_optimisation", [False, True])
def test_masks_start_with_almost_nothing_in_or_almost_everything_ablated(
    tree_optimisation: bool,
) -> None:
    """At -init_val or +init_val; in both cases an empty hard circuit."""
    trainer = _trainer(tree_optimisation=tree_optimisation, learning_rate=1e-9)
    start = math.log(5) if tree_optimisation else -math.log(5)
    assert _theta(trainer).tolist() == pytest.approx([start] * trainer.n_edges)
    assert trainer.step().hard_edge_count == 0


def test_the_first_step_moves_every_parameter_by_the_learning_rate() -> None:
    """Adam divides the gradient by its size; its sign follows a central difference."""
    trainer = _trainer(mask_fn="sigmoid", init_val=INIT, learning_rate=0.25, regularize_lambda=0.1)
    model, batch = _model(), next(iter(model_kinds.dataloader()))
    trainer.step()
    moved = _theta(trainer) + INIT
    # Up to its epsilon, for gradients of nearly nothing.
    assert moved.abs().tolist() == pytest.approx([0.25] * model.n_edges, rel=0.05)

    def loss(theta: Tensor) -> float:
        masks = theta.sigmoid()
        return _kl(model, batch, masks) + 0.1 * masks.mean().item()

    for i in range(0, model.n_edges, 11):
        step = torch.zeros(model.n_edges)
        step[i] = 0.3
        start = torch.full_like(step, -INIT)
        slope = loss(start + step) - loss(start - step)
        if abs(slope) > 1e-3:  # float32 cannot tell the sign of less
            assert moved[i].sign().item() == -math.copysign(1, slope)


def test_the_regularizer_alone_empties_the_circuit() -> None:
    for tree in (False, True):
        trainer = _trainer(
            epochs=10,
            regularize_lambda=1e6,
            init_val=-2.0,
            tree_optimisation=tree,
            mask_fn="sigmoid",
        )
        assert trainer.step().hard_edge_count == trainer.n_edges, "starts full: init_val < 0"
        trainer.run(progress=False)
        assert trainer.history[-1].hard_edge_count == 0


@pytest.mark.parametrize("tree_optimisation", [False, True])
def test_without_a_regularizer_the_circuit_becomes_faithful(tree_optimisation: bool) -> None:
    trainer = _trainer(
        epochs=40, regularize_lambda=0, mask_fn="sigmoid", tree_optimisation=tree_optimisation
    )
    trainer.run(progress=False)
    first, last = trainer.history[:3], trainer.history[-3:]
    assert sum(r.faithfulness for r in last) < 0.1 * sum(r.faithfulness for r in first)


@pytest.mark.parametrize("tree_optimisation", [False, True])
def test_a_training_fills_the_circuit_size_that_it_is_given_and_no_more(
    tree_optimisation: bool,
) -> None:
    """More edges make it more faithful, so it takes most of those that cost nothing."""
    faithfulness = []
    for size in (15, 40):
        trainer = _trainer(
            epochs=40,
            circuit_size=size,
            regularize_lambda=20,
            tree_optimisation=tree_optimisation,
        )
        trainer.run(progress=False)
        last = trainer.history[-30:]
        count = sum(record.soft_edge_count for record in last) / len(last)
        assert size / 3 < count < 1.1 * size
        faithfulness.append(sum(record.faithfulness for record in last) / len(last))
    assert faithfulness[1] < faithfulness[0]


def test_avoided_edges_end_below_the_others() -> None:
    model = _model()
    avoided = [edge for edge in model.edges if edge.src.name == "Resid Start"]
    trainer = _trainer(epochs=5, regularize_lambda=0.1, avoid_edges=avoided, avoid_lambda=1e4)
    scores = trainer.run(progress=False)
    values = {edge: edge.prune_score(scores).item() for edge in model.edges}
    others = [value for edge, value in values.items() if edge not in set(avoided)]
    assert max(values[edge] for edge in avoided) < sum(others) / len(others)


def test_dropout_changes_the_training_but_not_the_validation() -> None:
    settings: dict[str, Any] = {"mask_fn": "sigmoid", "learning_rate": 1e-9}
    plain, dropped = (_trainer(True, dropout_p=p, **settings) for p in (0.0, 0.5))
    for trainer in (plain, dropped):
        trainer.run(progress=False)
    for a, b in zip(plain.history, dropped.history, strict=True):
        assert a.faithfulness != pytest.approx(b.faithfulness, rel=1e-3)
        assert a.validation == pytest.approx(b.validation, rel=1e-4)
        assert a.regularizer == pytest.approx(b.regularizer, rel=1e-4)


@pytest.mark.parametrize("tree_optimisation", [False, True])
@pytest.mark.parametrize("target", FAITHFULNESS)
def test_every_target_trains_with_answers_of_unequal_number(
    target: Any, tree_optimisation: bool
) -> None:
    """(`mse` is the one whose answers have the shape of the output.)"""
    draw = torch.Generator().manual_seed(6)
    clean, corrupt = (torch.randint(model_kinds.N_VOCAB, (5, 6), generator=draw) for _ in range(2))
    right = [torch.tensor(ids) for ids in ([1], [2, 3], [4], [5, 6, 7], [8])]
    wrong = [torch.tensor(ids) for ids in ([11, 12], [13], [14, 15], [16], [17])]
    answers: Any = torch.randn(5, model_kinds.N_VOCAB, generator=draw) if target == "mse" else right
    dataset = PromptDataset(clean, corrupt, answers, wrong)
    config = SubnetworkProbingConfig(
        epochs=25,
        faithfulness_target=target,
        tree_optimisation=tree_optimisation,
        mask_fn="sigmoid",
        regularize_lambda=0,
        learning_rate=0.05,
        seed=0,
    )
    trainer = SubnetworkProbing(_model(), PromptDataLoader(dataset, batch_size=2), config)
    trainer.run(progress=False)
    first, last = (
        sum(r.loss for r in part) for part in (trainer.history[:3], trainer.history[-3:])
    )
    assert last < first


def test_a_regression_whose_answers_do_not_fit_the_output_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"answers: wanted values of shape \(3, 50\)"):
        _trainer(faithfulness_target="mse").step()


# --- what is recorded ---------------------------------------------------------------------------


def test_a_record_says_all_about_its_step() -> None:
    trainer = _trainer(learning_rate=0.2, regularize_lambda=3, mask_fn="sigmoid")
    before = _theta(trainer)
    record = trainer.step()
    assert trainer.history == [record]
    assert (record.step, record.epoch) == (1, 1)
    assert (record.learning_rate, record.regularize_lambda) == (0.2, 3)
    assert record.soft_edge_count == pytest.approx(before.sigmoid().sum().item(), rel=1e-5)
    assert record.hard_edge_count == int((_theta(trainer) > 0).sum())
    assert record.validation is None
    assert record.validation_hard is None
    assert set(record.terms) == {
        "faithfulness",
        "regularizer",
        "penalty",
        "soft_edge_count",
        "learning_rate",
        "regularize_lambda",
        "largest_gradient",
    }
    assert record.seconds > 0
    assert record.processor_seconds > 0


def test_steps_and_epochs_are_counted_from_one() -> None:
    trainer = _trainer(epochs=2)
    trainer.run(progress=False)
    assert [(r.step, r.epoch) for r in trainer.history] == [
        *((1, 1), (2, 1), (3, 1)),
        *((4, 2), (5, 2), (6, 2)),
    ]
    assert trainer.n_steps == trainer.step_count == 6


def test_with_tree_optimisation_the_circuit_is_what_is_not_ablated() -> None:
    trainer = _trainer(tree_optimisation=True, mask_fn="sigmoid", epochs=8, regularize_lambda=0.01)
    before = _theta(trainer)
    assert trainer.step().soft_edge_count == pytest.approx(
        (1 - before.sigmoid()).sum().item(), rel=1e-4
    )
    trainer.run(progress=False)
    count = trainer.history[-1].hard_edge_count
    assert count == int((_theta(trainer) < 0).sum())
    assert 0 < count < trainer.n_edges


def test_records_hold_plain_numbers() -> None:
    """They go into JSON, checkpoints and the browser."""
    trainer = _trainer(validate=True, faithfulness_target="correct_percent")
    record = trainer.step().to_dict()
    assert {name: type(value) for name, value in record.items()} == {
        **dict.fromkeys(record, float),
        **dict.fromkeys(("step", "epoch", "hard_edge_count"), int),
        "regularize_lambda": float,
    }


def test_accuracy_is_recorded_beside_the_target_that_stands_for_it() -> None:
    """And that target moves the masks, which the share of right answers could not."""
    model = _model()
    batch = next(iter(model_kinds.dataloader(batch_size=7)))
    with torch.no_grad():
        best = model(batch.clean)[:, -1].argmax(-1)
        with patch_mode(model, src_ablations(model, batch.clean)):
            for mask in model.patch_masks.values():
                mask.fill_(START)
            at_start = model(batch.corrupt)[:, -1].argmax(-1)
    answers = best[:, None]
    dataset = PromptDataset(
        batch.clean, batch.corrupt, answers, (answers + 1) % model_kinds.N_VOCAB
    )
    config = SubnetworkProbingConfig(
        faithfulness_target="correct_percent",
        mask_fn="sigmoid",
        init_val=INIT,
        learning_rate=0.3,
        epochs=40,
        regularize_lambda=0,
        seed=0,
    )
    trainer = SubnetworkProbing(model, PromptDataLoader(dataset, batch_size=7), config)
    first = trainer.step()
    assert first.accuracy == pytest.approx((at_start == best).float().mean().item())
    assert (_theta(trainer) != -INIT).all()
    trainer.run(progress=False)
    last = trainer.history[-1]
    assert last.accuracy > first.accuracy
    assert last.loss < first.loss


def test_callbacks_get_each_record_after_its_step() -> None:
    trainer = _trainer(epochs=1)
    seen: list[tuple[StepRecord, StepRecord, int]] = []
    trainer.callbacks.append(
        lambda record: seen.append((record, trainer.history[-1], trainer.step_count))
    )
    trainer.run(progress=False)
    assert [record.step for record, _, _ in seen] == [1, 2, 3]
    assert all(record is last and record.step == count for record, last, count in seen)


# --- validation ---------------------------------------------------------------------------------


def test_validation_is_the_same_metric_soft_and_of_the_hard_circuit() -> None:
    """On its own prompts, one batch a step in turn, with the masks after the step."""
    trainer = _trainer(validate=True, mask_fn="sigmoid", learning_rate=0.4, regularize_lambda=0.01)
    model = _model()
    batches = list(_validation())
    for i in range(6):
        record = trainer.step()
        theta, batch = _theta(trainer), batches[i % 2]
        soft, hard = theta.sigmoid(), (theta > 0).float()
        assert record.validation == pytest.approx(_kl(model, batch, soft), rel=1e-4)
        assert record.validation_hard == pytest.approx(_kl(model, batch, hard), rel=1e-4, abs=1e-6)
    assert 0 < record.hard_edge_count < trainer.n_edges
    assert record.validation != pytest.approx(record.validation_hard, rel=1e-2)


def test_validation_of_an_empty_and_of_a_full_circuit_with_tree_optimisation() -> None:
    """A hard mask of 1 ablates: all ablated is the corrupt model, none is the clean one."""
    model = _model()
    settings: dict[str, Any] = {"tree_optimisation": True, "learning_rate": 1e-9}
    full = _trainer(validate=True, init_val=-3.0, **settings).step()
    assert full.hard_edge_count == model.n_edges
    assert full.validation_hard == pytest.approx(0, abs=1e-6)
    empty = _trainer(validate=True, init_val=3.0, **settings).step()
    batch = next(iter(_validation()))
    with torch.no_grad():
        p, q = (model(tokens)[:, -1].softmax(-1) for tokens in (batch.clean, batch.corrupt))
    expected = (p * (p / q).log()).sum(-1).mean().item()
    assert empty.validation_hard == pytest.approx(expected, rel=1e-4)


def test_validation_does_not_change_the_training() -> None:
    """It draws masks too, but from noise of its own."""
    with_validation, without = _trainer(validate=True), _trainer()
    scores = [trainer.run(progress=False) for trainer in (with_validation, without)]
    assert _same(*scores)
    assert _losses(with_validation) == _losses(without)
    assert all(record.validation is not None for record in with_validation.history)


# --- repeatable, resumable ----------------------------------------------------------------------


def test_the_same_seed_gives_the_same_training_bit_by_bit_and_another_another() -> None:
    first, again, other = (_trainer(seed=seed, dropout_p=0.1) for seed in (1, 1, 2))
    torch.manual_seed(0)
    scores = first.run(progress=False)
    torch.manual_seed(1)
    assert _same(again.run(progress=False), scores)
    assert _losses(again) == _losses(first)
    assert not _same(other.run(progress=False), scores)


def test_a_seed_that_was_drawn_is_told_and_repeats_the_training() -> None:
    drawn, another = _trainer(seed=None), _trainer(seed=None)
    assert drawn.seed != another.seed
    assert drawn.config.seed is None
    scores = drawn.run(progress=False)
    assert _same(_trainer(seed=drawn.seed).run(progress=False), scores)
    assert not _same(another.run(progress=False), scores)


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_the_largest_and_smallest_seeds_work(seed: int) -> None:
    assert _trainer(seed=seed, validate=True).step().step == 1


def test_training_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    _trainer(validate=True, dropout_p=0.1).run(progress=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_steps_one_by_one_are_the_same_as_a_run() -> None:
    stepped, run, both = _trainer(), _trainer(), _trainer()
    while not stepped.done:
        stepped.step()
    scores = run.run(progress=False)
    both.step()
    both.step()
    assert _same(both.run(progress=False), scores)
    assert _same(stepped.prune_scores, scores)
    assert _losses(stepped) == _losses(run) == _losses(both)


def test_preparing_first_changes_nothing() -> None:
    prepared, plain = _trainer(validate=True), _trainer(validate=True)
    assert not prepared.prepared
    assert list(prepared.preparation()) == [(n, 5) for n in range(1, 6)]
    assert prepared.prepared
    assert _same(prepared.run(progress=False), plain.run(progress=False))


def test_a_preparation_that_was_abandoned_starts_over() -> None:
    trainer, plain = _trainer(validate=True), _trainer(validate=True)
    next(trainer.preparation())
    assert not trainer.prepared
    assert _same(trainer.run(progress=False), plain.run(progress=False))
    again = _trainer(validate=True)
    assert len(list(again.preparation())) == 5
    abandoned = again.preparation()
    assert next(abandoned) == (1, 5)
    abandoned.close()
    assert not again.prepared
    assert _same(again.run(progress=False), trainer.prune_scores)


@pytest.mark.parametrize("mask_fn", ["hard_concrete", "sigmoid"])
def test_a_training_goes_on_from_a_checkpoint_bit_by_bit(mask_fn: Any) -> None:
    """Also when the checkpoint was taken from a training that went on itself."""
    settings: dict[str, Any] = {"mask_fn": mask_fn, "dropout_p": 0.1, "validate": True}
    whole = _trainer(**settings)
    for _ in range(4):
        whole.step()
    state = whole.state_dict()
    scores = whole.run(progress=False)

    stored = io.BytesIO()
    torch.save(state, stored)
    stored.seek(0)
    for loaded in (state, torch.load(stored, weights_only=True)):
        resumed = _trainer(**{**settings, "seed": 99})
        resumed.step()
        resumed.load_state_dict(copy.deepcopy(loaded))
        assert (resumed.step_count, resumed.seed) == (4, 0)
        assert _same(resumed.run(progress=False), scores)
        assert [replace(r, seconds=0, processor_seconds=0) for r in resumed.history] == [
            replace(r, seconds=0, processor_seconds=0) for r in whole.history
        ]


def test_a_checkpoint_keeps_the_parameters_that_were_changed_on_the_way() -> None:
    trainer, other = _trainer(), _trainer()
    trainer.learning_rate, trainer.regularize_lambda = 0.01, 2.5
    trainer.step()
    other.load_state_dict(trainer.state_dict())
    assert (other.learning_rate, other.regularize_lambda) == (0.01, 2.5)
    assert (other.config.learning_rate, other.config.regularize_lambda) == (0.01, 2.5)
    assert _same(other.run(progress=False), trainer.run(progress=False))


def test_a_checkpoint_of_another_model_is_refused() -> None:
    other = SubnetworkProbing(_model(separate_qkv=False), model_kinds.dataloader())
    trainer = _trainer()
    with pytest.raises(ArgumentError, match="state: wanted one with model's edges"):
        trainer.load_state_dict(other.state_dict())


# --- changes on the way -------------------------------------------------------------------------


def test_a_new_learning_rate_is_effective_and_recorded_from_the_next_step() -> None:
    trainer = _trainer(mask_fn="sigmoid")
    trainer.step()
    before = _theta(trainer)
    trainer.learning_rate = 1e-12
    trainer.step()
    assert torch.equal(_theta(trainer), before)
    trainer.learning_rate = 0.5
    trainer.step()
    assert (_theta(trainer) - before).abs().max() > 0.1
    assert [record.learning_rate for record in trainer.history] == [0.1, 1e-12, 0.5]
    assert trainer.config.learning_rate == 0.5


def test_a_new_lambda_is_effective_and_recorded_from_the_next_step() -> None:
    trainer = _trainer()
    trainer.step()
    trainer.regularize_lambda = 0
    second = trainer.step()
    assert second.loss == second.faithfulness
    assert [record.regularize_lambda for record in trainer.history] == [10, 0]


@pytest.mark.parametrize(
    ("name", "value"), [("learning_rate", -1), ("learning_rate", "1"), ("regularize_lambda", None)]
)
def test_a_bad_change_is_refused_and_leaves_what_was(name: str, value: Any) -> None:
    trainer = _trainer()
    before = trainer.config
    with pytest.raises(ArgumentError, match=f"^{name}: wanted"):
        setattr(trainer, name, value)
    assert trainer.config == before
    assert trainer.learning_rate == 0.1


# --- when it cannot go on -----------------------------------------------------------------------


def test_a_loss_that_is_not_finite_leaves_masks_and_history_as_they_were() -> None:
    """A learning rate that throws the masks out of range; then a sane one, from a checkpoint."""
    trainer = _trainer(mask_fn=None, learning_rate=1e20)
    start = trainer.state_dict()
    trainer.step()
    scores, theta = trainer.prune_scores, _theta(trainer)
    for _ in range(2):
        with pytest.raises(NonFiniteLossError, match=r"loss became NaN .* step 2 \(loss nan"):
            trainer.step()
        assert torch.equal(_theta(trainer), theta)
        assert _same(trainer.prune_scores, scores)
        assert trainer.step_count == 1
    trainer.load_state_dict(start)
    trainer.learning_rate = 0.05
    trainer.run(progress=False)
    sane = _trainer(mask_fn=None, learning_rate=0.05)
    assert _same(trainer.prune_scores, sane.run(progress=False))


def test_a_gradient_that_is_not_finite_under_a_finite_loss_leaves_the_masks_as_they_were() -> None:
    trainer = _trainer()
    trainer.step()
    theta = _theta(trainer)
    handle = trainer.theta.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(NonFiniteLossError, match=r"gradient of a mask became NaN .* step 2"):
        trainer.step()
    assert torch.equal(_theta(trainer), theta)
    handle.remove()
    assert trainer.step().step == 2
    assert torch.isfinite(_theta(trainer)).all(), "Adam's moments are sound as well"


def test_a_target_that_divides_by_zero_is_told_at_the_first_step() -> None:
    """Answers that are also the wrong answers have a logit difference of zero."""
    batch = next(iter(model_kinds.dataloader()))
    dataset = PromptDataset(batch.clean, batch.corrupt, batch.answers, batch.answers)
    config = SubnetworkProbingConfig(faithfulness_target="logit_diff_percent")
    trainer = SubnetworkProbing(_model(), PromptDataLoader(dataset, batch_size=3), config)
    with pytest.raises(NonFiniteLossError, match=r"at step 1 \(loss nan, logit_diff_percent nan"):
        trainer.step()
    assert trainer.history == []
    assert (_theta(trainer) == -config.init_val).all()


def test_a_step_beyond_the_last_is_refused() -> None:
    trainer = _trainer(epochs=1)
    scores = trainer.run(progress=False)
    assert trainer.done
    with pytest.raises(StateError, match="all 3 steps are done"):
        trainer.step()
    assert _same(trainer.run(progress=False), scores)


def test_prompts_of_another_length_than_seq_len_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"3 tokens.*got 6"):
        SubnetworkProbing(_model(seq_len=3), model_kinds.dataloader())


# --- arguments ----------------------------------------------------------------------------------


def test_a_model_that_was_not_made_patchable_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"model: wanted what sp_widget\.patchable_model"):
        SubnetworkProbing(model_kinds.bridge("gpt2"), model_kinds.dataloader())


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("dataloader", None),
        ("dataloader", [1, 2]),
        ("config", {"epochs": 3}),
        ("validation_dataloader", "test"),
    ],
)
def test_a_bad_argument_is_named(argument: str, value: object) -> None:
    arguments: dict[str, Any] = {"dataloader": model_kinds.dataloader(), argument: value}
    with pytest.raises(ArgumentError, match=f"^{argument}: wanted a "):
        SubnetworkProbing(_model(), **arguments)


def test_validation_data_without_a_batch_is_refused() -> None:
    whole = model_kinds.dataloader()
    with pytest.warns(UserWarning, match="drop_last"):
        empty = PromptDataLoader(whole.dataset, batch_size=50, drop_last=True)
    with pytest.raises(ArgumentError, match=r"^validation_dataloader: wanted at least one batch"):
        SubnetworkProbing(_model(), whole, validation_dataloader=empty)


def test_a_circuit_size_above_all_edges_is_refused() -> None:
    n_edges = _model().n_edges
    assert _trainer(circuit_size=n_edges).step().step == 1
    with pytest.raises(ArgumentError, match=f"circuit_size: wanted at most {n_edges} edges"):
        _trainer(circuit_size=n_edges + 1)


def test_avoided_edges_of_another_model_are_refused_by_name() -> None:
    edge = min(_model(seq_len=6).edges, key=str)
    with pytest.raises(ArgumentError, match="avoid_edges: wanted edges of the model") as error:
        _trainer(avoid_edges=[edge])
    assert str(edge) in str(error.value)


@pytest.mark.parametrize(
    "ablation_type", [kind for kind in AblationType if kind is not AblationType.RESAMPLE]
)
def test_a_clean_behaviour_that_no_circuit_can_reach_is_warned_of(
    ablation_type: AblationType,
) -> None:
    """At the line that runs it; with tree optimisation there is nothing to warn of."""
    trainer = _trainer(ablation_type=ablation_type, epochs=1)
    with pytest.warns(UserWarning, match=rf"{ablation_type.name}.*no circuit") as caught:
        trainer.run(progress=False, until_step=1)
    assert caught[0].filename == __file__
    trainer.run(progress=False)
    _trainer(ablation_type=ablation_type, tree_optimisation=True, epochs=1).run(progress=False)


def test_the_default_config_is_used_without_one() -> None:
    trainer = SubnetworkProbing(_model(), model_kinds.dataloader())
    assert trainer.config == SubnetworkProbingConfig()
    assert trainer.n_steps == 20 * 3


# --- scores -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tree_optimisation", [False, True])
def test_scores_rank_the_edges_by_their_parameters(tree_optimisation: bool) -> None:
    """Most important is the highest parameter, with tree optimisation the lowest."""
    trainer = _trainer(tree_optimisation=tree_optimisation, epochs=6, regularize_lambda=1)
    scores = trainer.run(progress=False)
    model, theta = _model(), _theta(trainer)
    edges = model.edge_dict[None]
    values = torch.stack([edge.prune_score(scores) for edge in edges])
    parameters = theta[model.graph.flat_index(edges)]
    order = parameters.argsort(descending=not tree_optimisation, stable=True)
    assert (values[order].diff() <= 0).all()
    low, high = theta.min().item(), theta.max().item()
    # |x| + sign theta at the two ends of the parameters.
    ends = (
        (abs(high) - high, abs(high) - low)
        if tree_optimisation
        else (abs(low) + low, abs(low) + high)
    )
    assert (values.min().item(), values.max().item()) == pytest.approx(ends, abs=1e-5)


def test_scores_are_a_copy_in_the_layout_of_the_masks() -> None:
    trainer = _trainer()
    trainer.step()
    scores = trainer.prune_scores
    assert {name: score.shape for name, score in scores.items()} == {
        name: mask.shape for name, mask in trainer.model.patch_masks.items()
    }
    before = copy.deepcopy(dict(scores))
    for score in scores.values():
        assert not score.requires_grad
        score.fill_(7)
    assert _same(trainer.prune_scores, before)
    trainer.step()
    assert all((score == 7).all() for score in scores.values())


def test_two_trainings_of_one_model_take_turns_without_touching_each_other() -> None:
    """They share the engine's buffers."""
    model = _model()
    config = SubnetworkProbingConfig(epochs=3, seed=0)
    turns = [SubnetworkProbing(model, model_kinds.dataloader(), config) for _ in range(2)]
    while not turns[1].done:
        for trainer in turns:
            trainer.step()
    alone = _trainer().run(progress=False)
    assert all(_same(trainer.prune_scores, alone) for trainer in turns)


def test_every_token_position_can_be_trained_on_its_own() -> None:
    """Only the last position's edges into Resid End matter when the last token alone counts."""
    model = _model(seq_len=6)
    config = SubnetworkProbingConfig(mask_fn="sigmoid", epochs=2, regularize_lambda=0, seed=0)
    trainer = SubnetworkProbing(model, model_kinds.dataloader(), config)
    scores = trainer.run(progress=False)["blocks.1.hook_resid_post"]
    theta = model.graph.split(_theta(trainer))["blocks.1.hook_resid_post"]
    assert scores.shape == (6, len(model.srcs))
    assert (theta[:5] == -config.init_val).all(), "never moved"
    assert (theta[5] != -config.init_val).all()
