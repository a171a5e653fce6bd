"""How colours look to those who see fewer of them, and how different they are then.

Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
deficiency" (2009), at full severity, on linear RGB; differences are distances in CIELAB (CIE 1976).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import to_rgb

EYES: Mapping[str, list[list[float]]] = {
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}

_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = _XYZ.sum(axis=1)


def difference(one: str, other: str, eyes: str) -> float:
    """Return the distance of two colours in CIELAB, as some eyes see them; 2 is just seen."""
    return float(np.linalg.norm(_lab(_seen(one, eyes)) - _lab(_seen(other, eyes))))


def lightness(colour: str) -> float:
    """Return what is left of a colour in grey, from 0 (black) to 100 (white)."""
    return float(_lab(_linear(colour))[0])


def contrast(one: str, other: str) -> float:
    """Return the contrast of WCAG, from 1 to 21."""
    low, high = sorted(float(_XYZ[1] @ _linear(each)) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def _linear(colour: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _seen(colour: str, eyes: str) -> np.ndarray:
    return np.clip(np.array(EYES[eyes]) @ _linear(colour), 0, 1)


def _lab(linear: np.ndarray) -> np.ndarray:
    share = _XYZ @ linear / _WHITE
    bent = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
    return np.array([116 * bent[1] - 16, 500 * (bent[0] - bent[1]), 200 * (bent[1] - bent[2])])
