// Written by tools/generate_types.py. Change the Python, and run it again.

export const WIDE = { "gutter": 58, "margin": 26, "gap": 22, "min_column": 50, "min_cell": 27, "max_cell": 92, "min_pitch": 48, "max_pitch": 88, "height": 580, "box_height": 24 } as const;

export const NARROW = { "gutter": 22, "margin": 12, "gap": 8, "min_column": 44, "min_cell": 22, "max_cell": 92, "min_pitch": 46, "max_pitch": 76, "height": 520, "box_height": 24 } as const;

export const NARROW_WIDTH = 560;

export const LABEL_HEIGHT = 22;

export const LETTERED_WIDTH = 34;

export const MLP_CELLS = 1.3;

export const RAISED = 0.48;

export const LINE_STEP = 0.72;

export const LINES = ["shared", "head", "attention", "mid"] as const;

export const KINDS_IN_COLUMNS = ["shared", "head", "attention"] as const;

export const PULL = 0.42;

export const SHARPEST = 2.6;

export const PORTS = { "": 0, "Q": -0.31, "K": 0, "V": 0.31 } as const;

export const SHARED_PORTS = { "": 0, "Q": 0, "K": -0.2, "V": 0.2 } as const;

export const PORT_HEIGHT = 9;

export const BARE_PORT_HEIGHT = 5;

export const MOST_DRAWN = 400;

export const THIN = 0.8;

export const THICK = 3.4;

export const MISS_WIDTH = 1.8;

export const ARROW_LENGTH = 6;

export const ARROW_WIDTH = 2.2;

export const PORT_DASHES = { "": [], "Q": [7, 4], "K": [2, 3], "V": [] } as const;

export const VERDICT_DASHES = { "hit": [], "miss": [8, 5], "extra": [2, 3.5] } as const;

export const DEFAULT_SIZE = 50;

export const VERDICT_LABELS = { "hit": "Hits: known and in the circuit", "miss": "Misses: known, not in the circuit", "extra": "Extras: in the circuit, not known" } as const;

export const KNOWN = "Known circuit" as const;

export const GROUP_COLOURS = ["#8e5bbf", "#2a9d8f", "#d1495b", "#b8860b", "#3a7ca5", "#937341"] as const;

export const GROUP_DASHES = ["solid", "dashed", "dotted"] as const;

export const GROUP_PADDING = 4;

export const LONGEST_NAME = 80;

export const LONGEST_NOTE = 2000;
