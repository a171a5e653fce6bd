/** The traits of the Python `SweepTable`. */

import type { AnyModel } from "@anywidget/types";

import type { SweepTraits } from "../generated/sweep";

export type * from "../generated/sweep";

export type SweepModel = AnyModel<SweepTraits>;
