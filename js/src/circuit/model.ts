/** The traits of the Python `CircuitView`. */

import type { AnyModel } from "@anywidget/types";

import type { CircuitTraits } from "../generated/circuit";

export type * from "../generated/circuit";

export type CircuitModel = AnyModel<CircuitTraits>;
