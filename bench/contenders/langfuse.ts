// Langfuse lies where its own OpenTelemetry is.

export { contender } from "../langfuse/contender.js";
