// A client's cases in a Worker, as one invocation. Spans still open at its end are written as unfinished.

import { withOpik } from "../../../pkg/cloudflare/index.js";
import type { Cases, Job, Outcome } from "./case.js";
import { runCases } from "./harness.js";

/** Runs the cases, and resolves once the recorded rows have been delivered. */
export async function runInInvocation(
  job: Job,
  cases: Cases,
): Promise<{ cases: Cases; outcomes: [string, Outcome][] }> {
  const outcomes: [string, Outcome][] = [];
  const work: unknown[] = [];
  const fetch = async (): Promise<Response> => {
    await runCases(job, cases, (run, outcome) => outcomes.push([run, outcome]));
    return new Response();
  };
  const handler = withOpik({ fetch }, () => ({ url: job.collector, projectName: "clients" }));
  const waitUntil = (promise: Promise<unknown>): void => void work.push(promise);
  const call = handler.fetch as (request: Request, env: object, ctx: object) => Promise<Response>;
  await (await call(new Request("http://localhost/"), {}, { waitUntil })).text();
  for (const promise of work) await promise;
  return { cases, outcomes };
}
