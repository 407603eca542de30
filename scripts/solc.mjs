#!/usr/bin/env node
// The solc command line that forge needs (`--version`, `--standard-json`), over the solc package of npm,
// so that nothing is downloaded outside the package registries.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const args = process.argv.slice(2);
const packageVersion = require("solc/package.json").version;

if (args.includes("--version")) {
  // forge asks often and loading the compiler takes seconds: the package's own version is enough.
  process.stdout.write(
    "solc, the solidity compiler commandline interface\n" +
      `Version: ${packageVersion}+commit.00000000.Emscripten.clang\n`,
  );
} else if (args.includes("--standard-json")) {
  const solc = require("solc");
  process.stdout.write(solc.compile(readFileSync(0, "utf8")));
} else {
  process.stderr.write("usage: solc.mjs --version | --standard-json < input.json\n");
  process.exit(2);
}
