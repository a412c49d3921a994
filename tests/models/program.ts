// All cases as a program, in Node, Deno and Bun: it prints what it has to tell as a line.

import { MARK } from "./case.js";
import { runAll } from "./harness.js";

console.log(MARK + JSON.stringify(await runAll(JSON.parse(process.argv.at(-1)!))));
