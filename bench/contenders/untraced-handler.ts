// The host alone, as a Worker's handler.

import type { Contender } from "../contender.js";
import { done } from "../work.js";

export const contender: Contender = {
  async request({ root, children }) {
    for (const work of children) await (async () => void (await done(work)))();
    await done(root);
    new Response(null);
  },
  read: undefined,
};
