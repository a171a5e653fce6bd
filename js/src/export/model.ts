/** The traits of the Python `ExportPanel`, and what it and its views say to each other. */

import type { AnyModel } from "@anywidget/types";

import type { ExportTraits } from "../generated/export";

export type * from "../generated/export";

export type ExportModel = AnyModel<ExportTraits>;

/** An answer goes to all views; `request` says which of them asked. */
export type Answer =
  | { type: "file"; request: string; name: string; mime: string }
  | { type: "problem"; request: string; text: string };

export function isAnswer(message: unknown): message is Answer {
  if (typeof message !== "object" || message === null || !("type" in message)) return false;
  return message.type === "file" || message.type === "problem";
}
