// Written by tools/generate_types.py. Change the Python, and run it again.
/* eslint-disable @typescript-eslint/consistent-type-definitions */

/** A kind of file that a run can be exported to. */
export type Format = {
  name: string;
  label: string;
};

/** The traits of the Python `ExportPanel`. */
export type ExportTraits = {
  formats: Format[];
};
