// Bundles static/src into static/dist: every .js file and app.css there is an entry of its own.
import { build, context } from "esbuild";
import { readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, "src"), target = join(here, "dist");
const options = {
  entryPoints: readdirSync(source).filter(name => /\.(js|css)$/.test(name)).map(name => join(source, name)),
  outdir: target, bundle: true, minify: true, format: "iife", target: "es2022", logLevel: "info", legalComments: "none",
  loader: { ".woff2": "file", ".svg": "dataurl" }, assetNames: "[name]-[hash]",
};

if (process.argv.includes("--watch")) {
  await (await context(options)).watch();
} else {
  rmSync(target, { recursive: true, force: true });
  await build(options);
}
