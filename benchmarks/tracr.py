"""How well the compiled circuits are found, at the settings of the literature.

    python -m benchmarks.tracr

500 epochs, learning rate 0.1, lambda 1e-3, resample ablation; prints the area under the ROC curve
of the edges' importance against the known circuit.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from sp_widget import tasks
from sp_widget.evaluation.roc import auroc
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing


def main() -> None:
    torch.set_num_threads(1)
    for name in ("tracr-xproportion", "tracr-reverse"):
        task = tasks.load(name)
        config = replace(task.config, epochs=500, learning_rate=0.1, regularize_lambda=1e-3)
        started = time.perf_counter()
        trainer = SubnetworkProbing(task.model, task.train_loader, config)
        scores = trainer.run(progress=False)
        seconds = time.perf_counter() - started
        assert task.official_edges is not None
        area = auroc(task.model, scores, task.official_edges)
        print(f"{name:18} {trainer.n_steps:6} steps in {seconds:6.1f} s   AUROC {area:.4f}")


if __name__ == "__main__":
    main()
