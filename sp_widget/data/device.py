"""Names of devices, checked."""

from __future__ import annotations

import torch

from sp_widget.errors import ArgumentError, shown


def known_device(device: object) -> torch.device:
    """Return the device of this name. Raises `ArgumentError` if this machine has none such."""
    if not isinstance(device, (str, torch.device)):
        raise ArgumentError("device", "the name of a device, such as 'cpu' or 'cuda'", device)
    try:
        # What is made there is thrown away: only so it is known whether the device can be used.
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        wanted = f"a device that torch can use here ({shown(reason)})"
        raise ArgumentError("device", wanted, str(device)) from error
