// Bundles every widget, and the page without a kernel, into sp_widget/static: one module and one
// stylesheet each.
import { mkdir, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import * as esbuild from "esbuild";

import { METHOD } from "./method.mjs";

const BUNDLES = ["chart", "circuit", "panel", "export", "faithfulness", "prompts", "sweep", "page"];
const MAX_KILOBYTES = 120;

const here = new URL("./", import.meta.url);
const outdir = fileURLToPath(new URL("../sp_widget/static/", here));

/** @type {esbuild.BuildOptions} */
const options = {
  absWorkingDir: fileURLToPath(here),
  entryPoints: BUNDLES.flatMap((name) => [
    { in: `src/${name}/index.ts`, out: name },
    { in: `src/${name}/${name}.css`, out: name },
  ]),
  outdir,
  define: METHOD,
  bundle: true,
  format: "esm",
  target: ["es2022"],
  minify: true,
  charset: "utf8",
  legalComments: "none",
  logLevel: "info",
};

await mkdir(outdir, { recursive: true });

if (process.argv.includes("--watch")) {
  const context = await esbuild.context({ ...options, minify: false });
  await context.watch();
} else {
  await esbuild.build(options);
  for (const name of BUNDLES) {
    const { size } = await stat(`${outdir}${name}.js`);
    if (size > MAX_KILOBYTES * 1000) {
      // The whole module travels to the browser in every notebook that shows the widget.
      console.error(`${name}.js is ${size} bytes, more than ${MAX_KILOBYTES} kB.`);
      process.exitCode = 1;
    }
  }
}
