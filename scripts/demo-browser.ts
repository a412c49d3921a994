// The demo behind `scripts/demo browser`: a chat page and every server behind it; stays up.

import { startUpstream } from "../examples/cloudflare-worker/upstream.js";
import { startChat } from "../tests/support/chat.js";
import { startCollector } from "../tests/support/collector.js";
import { pageOf, stayUp, variables } from "./demo-process.js";

const real = process.env["OPIK_URL_OVERRIDE"];

const collector = real ? undefined : await startCollector({ port: 5173 }).catch(() => startCollector());
const upstream = await startUpstream();
const chat = await startChat(real ?? collector!.url, upstream, {
  port: 8788,
  bindings: variables(),
  ...(collector && { tracesUrl: `${pageOf(collector)}#/trace` }),
  onLog: (line) => process.stderr.write(`${line}\n`),
});
console.log(`Opik           ${real ?? collector!.url}`);
console.log(`model          ${upstream.url}`);
console.log(`Python server  ${chat.pythonUrl}`);
console.log(`chat Worker    ${chat.chatUrl}`);
if (collector) console.log(`all traces     ${pageOf(collector)}`);
console.log(`\nOpen ${chat.url} and ask something. Ctrl-C ends it.`);

stayUp(async () => {
  await chat.close();
  await upstream.close();
  await collector?.close();
});
