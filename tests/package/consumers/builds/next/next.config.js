import { join } from "node:path";

// The folder of node_modules.
const outputFileTracingRoot = join(import.meta.dirname, "../..");

export default { serverExternalPackages: ["opik-edge"], outputFileTracingRoot };
