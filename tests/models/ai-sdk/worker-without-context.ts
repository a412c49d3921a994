// The Worker without AsyncLocalStorage, for which the package has searched before it is called.

import "./without-context.js";

export { default } from "./worker.js";
