// The public surface of `opik-edge/doctor`.

export { type DoctorOptions, opikDoctor } from "./doctor.js";
export type { Finding } from "./finding.js";
export { echoHeaders } from "./header-check.js";
