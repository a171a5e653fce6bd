"""Settings for all tests."""

from __future__ import annotations

import torch

# One thread: sums are added up in the same order on every machine, and the tests share two cores
# with the processes that they start.
torch.set_num_threads(1)
