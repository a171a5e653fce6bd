/** The traits of the Python `FaithfulnessView`. */

import type { AnyModel } from "@anywidget/types";

import type { FaithfulnessTraits } from "../generated/faithfulness";

export type * from "../generated/faithfulness";

export type FaithfulnessModel = AnyModel<FaithfulnessTraits>;
