// A Python server with Opik's own SDK, for scripts/demo and the tests.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { delimiter, join } from "node:path";
import { freePort } from "./ports.js";
import { ROOT } from "./worker.js";

/** The Python that has the packages of tests/interop/requirements.txt. The scripts set it. */
export const PYTHON: string = process.env["OPIK_EDGE_PYTHON"] ?? "python3";

/** Keeps the SDK from sending anything except to the given Opik. */
export const QUIET = { OPIK_SENTRY_ENABLE: "false", OPIK_ANALYTICS_ENABLE: "false", OPIK_WORKSPACE: "default" };

/** A module to serve on a port, and its arguments. */
export type PythonProgram = (port: number) => string[];

/** The example server, as its README starts it. */
export const FASTAPI: PythonProgram = (port) => ["uvicorn", "server:app", "--host", "127.0.0.1", "--port", `${port}`];

/** Options of `startPython`. */
export interface PythonOptions {
  readonly program?: PythonProgram;
  /** The way in which the server continues its caller's trace (default `track`). */
  readonly mode?: "track" | "context";
  readonly env?: Record<string, string>;
}

/** A running server. */
export interface PythonServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  close(): Promise<void>;
}

/** Starts a server of examples/python-server or tests/interop that delivers to the Opik at `opikUrl`. */
export async function startPython(opikUrl: string, options: PythonOptions = {}): Promise<PythonServer> {
  const { program = FASTAPI, mode = "track", env } = options;
  const port = await freePort();
  const child: ChildProcess = spawn(PYTHON, ["-m", ...program(port)], {
    env: {
      ...process.env,
      ...QUIET,
      ...env,
      OPIK_URL_OVERRIDE: opikUrl,
      SERVER_MODE: mode,
      PYTHONDONTWRITEBYTECODE: "1",
      PYTHONPATH: [join(ROOT, "examples/python-server"), join(ROOT, "tests/interop")].join(delimiter),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log: string[] = [];
  child.stdout!.on("data", (text) => log.push(String(text)));
  child.stderr!.on("data", (text) => log.push(String(text)));
  child.on("error", (error) => log.push(String(error)));
  const url = `http://127.0.0.1:${port}`;
  const isReady = (): Promise<boolean> =>
    fetch(url).then(
      () => true,
      () => false,
    );
  while (!(await isReady())) {
    if (child.exitCode !== null || child.pid === undefined) throw new Error(`no Python server: ${log.join("")}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    close: async () => {
      child.kill("SIGTERM");
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

const INSTRUMENTED: PythonProgram = (port) => [
  "uvicorn",
  "server_otel:app",
  "--host",
  "127.0.0.1",
  "--port",
  `${port}`,
];

/** Starts the server of tests/interop with OpenTelemetry, which delivers to the endpoint for it of the Opik at `opikUrl`. */
export function startInstrumented(opikUrl: string, projectName: string): Promise<PythonServer> {
  const env = {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${opikUrl}/v1/private/otel/v1/traces`,
    OTEL_EXPORTER_OTLP_HEADERS: `projectName=${projectName}`,
    OTEL_BSP_SCHEDULE_DELAY: "100",
    OTEL_SERVICE_NAME: "ranker",
    // The calls of Opik, for which its SDK uses httpx too.
    OTEL_PYTHON_HTTPX_EXCLUDED_URLS: "/api/",
  };
  return startPython(opikUrl, { program: INSTRUMENTED, env });
}
