import { join } from "node:path";

// The packages are in folders above this one, as in a monorepo.
export default { turbopack: { root: join(import.meta.dirname, "../..") } };
