import { relay } from "opik-edge/relay";

let handle;

export function POST(request) {
  // Not while Next builds, when nothing is configured yet.
  handle ??= relay({ origins: [process.env.ORIGIN] });
  return handle(request);
}
