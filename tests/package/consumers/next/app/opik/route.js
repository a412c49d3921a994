import { relay } from "opik-edge/relay";

let handle;

export function POST(request) {
  // Created at the first request, because nothing is configured while Next builds.
  handle ??= relay({ origins: [process.env.ORIGIN] });
  return handle(request);
}
