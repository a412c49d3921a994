// The Node service. It knows nothing of tracing: telemetry.mjs is loaded before it.

import { createServer } from "node:http";
import { text } from "node:stream/consumers";

const { ANSWER_URL, RANK_URL } = process.env;

const post = async (url, body) => (await fetch(url, { method: "POST", body })).json();

const server = createServer(async (request, response) => {
  const query = await text(request);
  const ranked = await post(RANK_URL, query);
  const answers = await post(ANSWER_URL, query);
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ ranked, answers }));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
