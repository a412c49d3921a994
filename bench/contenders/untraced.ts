// The host alone: the same work, waited for in the same way, and nobody who traces it.

import type { Contender } from "../contender.js";
import { done } from "../work.js";

export const contender: Contender = {
  async request({ root, children }) {
    for (const work of children) await (async () => void (await done(work)))();
    await done(root);
  },
  read: undefined,
};
