/** The traits of the Python `PromptsView`. */

import type { AnyModel } from "@anywidget/types";

import type { PromptsTraits } from "../generated/prompts";

export type * from "../generated/prompts";

export type PromptsModel = AnyModel<PromptsTraits>;

/** `chosen` where the pair was typed. */
export const TYPED = -1;
