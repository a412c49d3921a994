// All cases as a program for Node. It prints the results as one line.

import { MARK } from "../case.js";
import { runAll } from "./harness.js";

console.log(MARK + JSON.stringify(await runAll(JSON.parse(process.argv.at(-1)!))));
