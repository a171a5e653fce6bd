"""Subnetwork probing in the notebook.

Every public name is imported when it is first used: `import sp_widget` is quick and loads
neither transformer_lens nor any widget library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sp_widget._version import __version__

if TYPE_CHECKING:
    from sp_widget import methods as methods
    from sp_widget import runs as runs
    from sp_widget import tasks as tasks
    from sp_widget.circuits.ablations import src_ablations as src_ablations
    from sp_widget.circuits.check_model import ModelCheck as ModelCheck
    from sp_widget.circuits.check_model import check_model as check_model
    from sp_widget.circuits.metrics import register_metric as register_metric
    from sp_widget.circuits.run_circuits import run_circuits as run_circuits
    from sp_widget.circuits.scores import PruneScores as PruneScores
    from sp_widget.circuits.scores import top_edges as top_edges
    from sp_widget.data.json_data import load_datasets_from_json as load_datasets_from_json
    from sp_widget.data.prompt_file import PromptFileError as PromptFileError
    from sp_widget.data.prompts import PromptDataLoader as PromptDataLoader
    from sp_widget.data.prompts import PromptDataset as PromptDataset
    from sp_widget.data.prompts import PromptPair as PromptPair
    from sp_widget.data.prompts import PromptPairBatch as PromptPairBatch
    from sp_widget.engine.patchable_model import PatchableModel as PatchableModel
    from sp_widget.engine.patchable_model import patch_mode as patch_mode
    from sp_widget.engine.patchable_model import patchable_model as patchable_model
    from sp_widget.errors import ArgumentError as ArgumentError
    from sp_widget.errors import ModelChangedError as ModelChangedError
    from sp_widget.errors import ModelCheckError as ModelCheckError
    from sp_widget.errors import NonFiniteLossError as NonFiniteLossError
    from sp_widget.errors import StateError as StateError
    from sp_widget.errors import UnsupportedModelError as UnsupportedModelError
    from sp_widget.evaluation.circuit_tests import circuit_tests as circuit_tests
    from sp_widget.evaluation.cross_task import CrossTask as CrossTask
    from sp_widget.evaluation.cross_task import OnTask as OnTask
    from sp_widget.evaluation.cross_task import cross_task as cross_task
    from sp_widget.evaluation.evaluate import evaluate as evaluate
    from sp_widget.evaluation.evaluation import Evaluation as Evaluation
    from sp_widget.evaluation.mib import export_mib as export_mib
    from sp_widget.evaluation.mib import export_mib_submission as export_mib_submission
    from sp_widget.evaluation.mib import import_mib as import_mib
    from sp_widget.evaluation.mib import import_mib_circuit as import_mib_circuit
    from sp_widget.evaluation.node_on_prompt import NodeOnPrompt as NodeOnPrompt
    from sp_widget.evaluation.node_on_prompt import look_into as look_into
    from sp_widget.evaluation.overlap import Overlap as Overlap
    from sp_widget.evaluation.overlap import overlap as overlap
    from sp_widget.evaluation.per_prompt import PerPrompt as PerPrompt
    from sp_widget.evaluation.per_prompt import per_prompt as per_prompt
    from sp_widget.evaluation.predictions import Predictions as Predictions
    from sp_widget.evaluation.predictions import predictions as predictions
    from sp_widget.evaluation.roc import PrecisionRecall as PrecisionRecall
    from sp_widget.evaluation.roc import RocCurve as RocCurve
    from sp_widget.evaluation.roc import auroc as auroc
    from sp_widget.evaluation.roc import precision_recall as precision_recall
    from sp_widget.evaluation.roc import roc_curve as roc_curve
    from sp_widget.evaluation.stability import Stability as Stability
    from sp_widget.evaluation.stability import stability as stability
    from sp_widget.evaluation.tested_circuit import CircuitTest as CircuitTest
    from sp_widget.evaluation.tested_circuit import CircuitTests as CircuitTests
    from sp_widget.evaluation.tested_circuit import KnockedOut as KnockedOut
    from sp_widget.graph.edge_graph import DestNode as DestNode
    from sp_widget.graph.edge_graph import Edge as Edge
    from sp_widget.graph.edge_graph import SrcNode as SrcNode
    from sp_widget.methods.acdc import (
        Acdc as Acdc,
    )
    from sp_widget.methods.acdc import (
        AcdcConfig as AcdcConfig,
    )
    from sp_widget.methods.acdc import (
        acdc_prune_scores as acdc_prune_scores,
    )
    from sp_widget.methods.baselines import (
        activation_magnitude_prune_scores as activation_magnitude_prune_scores,
    )
    from sp_widget.methods.baselines import (
        ground_truth_prune_scores as ground_truth_prune_scores,
    )
    from sp_widget.methods.baselines import (
        random_prune_scores as random_prune_scores,
    )
    from sp_widget.methods.baselines import (
        weight_magnitude_prune_scores as weight_magnitude_prune_scores,
    )
    from sp_widget.methods.eap_ig import (
        EapIg as EapIg,
    )
    from sp_widget.methods.eap_ig import (
        EapIgConfig as EapIgConfig,
    )
    from sp_widget.methods.eap_ig import (
        eap_ig_prune_scores as eap_ig_prune_scores,
    )
    from sp_widget.methods.edge_pruning import (
        EdgePruning as EdgePruning,
    )
    from sp_widget.methods.edge_pruning import (
        EdgePruningConfig as EdgePruningConfig,
    )
    from sp_widget.methods.edge_pruning import (
        edge_pruning_prune_scores as edge_pruning_prune_scores,
    )
    from sp_widget.methods.estimate import Estimate as Estimate
    from sp_widget.methods.estimate import estimate as estimate
    from sp_widget.methods.learned_ranking import (
        LearnedRanking as LearnedRanking,
    )
    from sp_widget.methods.learned_ranking import (
        LearnedRankingConfig as LearnedRankingConfig,
    )
    from sp_widget.methods.learned_ranking import (
        learned_ranking_prune_scores as learned_ranking_prune_scores,
    )
    from sp_widget.methods.mask_gradient import (
        MaskGradient as MaskGradient,
    )
    from sp_widget.methods.mask_gradient import (
        MaskGradientConfig as MaskGradientConfig,
    )
    from sp_widget.methods.mask_gradient import (
        edge_attribution_patching_prune_scores as edge_attribution_patching_prune_scores,
    )
    from sp_widget.methods.mask_gradient import (
        mask_gradient_prune_scores as mask_gradient_prune_scores,
    )
    from sp_widget.methods.record import HardEvaluation as HardEvaluation
    from sp_widget.methods.record import StepRecord as StepRecord
    from sp_widget.methods.subnetwork_probing.config import (
        SubnetworkProbingConfig as SubnetworkProbingConfig,
    )
    from sp_widget.methods.subnetwork_probing.function import (
        subnetwork_probing_prune_scores as subnetwork_probing_prune_scores,
    )
    from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing as SubnetworkProbing
    from sp_widget.methods.uniform_gradient_sampling import (
        UniformGradientSampling as UniformGradientSampling,
    )
    from sp_widget.methods.uniform_gradient_sampling import (
        UniformGradientSamplingConfig as UniformGradientSamplingConfig,
    )
    from sp_widget.methods.uniform_gradient_sampling import (
        uniform_gradient_sampling_prune_scores as uniform_gradient_sampling_prune_scores,
    )
    from sp_widget.report.groups import NodeGroup as NodeGroup
    from sp_widget.report.picture import Picture as Picture
    from sp_widget.report.picture import snapshot as snapshot
    from sp_widget.runs.sweep import Sweep as Sweep
    from sp_widget.runs.sweep import sweep as sweep
    from sp_widget.types import AblationType as AblationType
    from sp_widget.types import MaskFn as MaskFn
    from sp_widget.types import PatchType as PatchType
    from sp_widget.widget.circuit import CircuitView as CircuitView
    from sp_widget.widget.faithfulness import FaithfulnessView as FaithfulnessView
    from sp_widget.widget.sweep_view import SweepView as SweepView
    from sp_widget.widget.widget import SubnetworkProbingWidget as SubnetworkProbingWidget

_HOMES = {
    "circuits.ablations": ["src_ablations"],
    "circuits.check_model": ["ModelCheck", "check_model"],
    "circuits.metrics": ["register_metric"],
    "circuits.run_circuits": ["run_circuits"],
    "circuits.scores": ["PruneScores", "top_edges"],
    "data.json_data": ["load_datasets_from_json"],
    "data.prompt_file": ["PromptFileError"],
    "data.prompts": ["PromptDataLoader", "PromptDataset", "PromptPair", "PromptPairBatch"],
    "engine.patchable_model": ["PatchableModel", "patch_mode", "patchable_model"],
    "errors": [
        "ArgumentError",
        "ModelChangedError",
        "ModelCheckError",
        "NonFiniteLossError",
        "StateError",
        "UnsupportedModelError",
    ],
    "evaluation.circuit_tests": ["circuit_tests"],
    "evaluation.tested_circuit": ["CircuitTest", "CircuitTests", "KnockedOut"],
    "evaluation.stability": ["Stability", "stability"],
    "evaluation.overlap": ["Overlap", "overlap"],
    "evaluation.cross_task": ["CrossTask", "OnTask", "cross_task"],
    "evaluation.mib": [
        "export_mib",
        "export_mib_submission",
        "import_mib",
        "import_mib_circuit",
    ],
    "evaluation.evaluate": ["evaluate"],
    "evaluation.evaluation": ["Evaluation"],
    "evaluation.predictions": ["Predictions", "predictions"],
    "evaluation.node_on_prompt": ["NodeOnPrompt", "look_into"],
    "evaluation.per_prompt": ["PerPrompt", "per_prompt"],
    "evaluation.roc": ["PrecisionRecall", "RocCurve", "auroc", "precision_recall", "roc_curve"],
    "graph.edge_graph": ["DestNode", "Edge", "SrcNode"],
    "methods.acdc": ["Acdc", "AcdcConfig", "acdc_prune_scores"],
    "methods.baselines": [
        "activation_magnitude_prune_scores",
        "ground_truth_prune_scores",
        "random_prune_scores",
        "weight_magnitude_prune_scores",
    ],
    "methods.eap_ig": ["EapIg", "EapIgConfig", "eap_ig_prune_scores"],
    "methods.edge_pruning": ["EdgePruning", "EdgePruningConfig", "edge_pruning_prune_scores"],
    "methods.learned_ranking": [
        "LearnedRanking",
        "LearnedRankingConfig",
        "learned_ranking_prune_scores",
    ],
    "methods.mask_gradient": [
        "MaskGradient",
        "MaskGradientConfig",
        "edge_attribution_patching_prune_scores",
        "mask_gradient_prune_scores",
    ],
    "methods.uniform_gradient_sampling": [
        "UniformGradientSampling",
        "UniformGradientSamplingConfig",
        "uniform_gradient_sampling_prune_scores",
    ],
    "methods.estimate": ["Estimate", "estimate"],
    "methods.record": ["HardEvaluation", "StepRecord"],
    "methods.subnetwork_probing.config": ["SubnetworkProbingConfig"],
    "methods.subnetwork_probing.function": ["subnetwork_probing_prune_scores"],
    "methods.subnetwork_probing.trainer": ["SubnetworkProbing"],
    "report.groups": ["NodeGroup"],
    "report.picture": ["Picture", "snapshot"],
    "runs.sweep": ["Sweep", "sweep"],
    "types": ["AblationType", "MaskFn", "PatchType"],
    "widget.circuit": ["CircuitView"],
    "widget.faithfulness": ["FaithfulnessView"],
    "widget.sweep_view": ["SweepView"],
    "widget.widget": ["SubnetworkProbingWidget"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", "methods", "runs", "tasks", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name in ("methods", "runs", "tasks"):
        return import_module(f"sp_widget.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
