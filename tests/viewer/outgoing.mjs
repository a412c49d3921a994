// Preloaded into a process: prints each connection that the process opens.

import { subscribe } from "node:diagnostics_channel";
import { writeSync } from "node:fs";

for (const channel of ["net.client.socket", "undici:client:beforeConnect"]) {
  subscribe(channel, () => writeSync(2, `OPENS A CONNECTION (${channel})\n`));
}
