// Runs the suite as a program in Node, Deno and Bun. Reads its environment from argv and prints the results.

import { runSuite } from "./suite.js";

declare const process: { argv: string[]; stdout: { write(text: string): void } };

const results = await runSuite(JSON.parse(process.argv.at(-1)!));
process.stdout.write(`${JSON.stringify(results)}\n`);
