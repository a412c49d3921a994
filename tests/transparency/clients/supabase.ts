// `@supabase/supabase-js`, which sends a query when it is awaited.

import { createClient } from "@supabase/supabase-js";
import type { Cases, Host } from "./case.js";
import { kind } from "./harness.js";
import type { Behaviour } from "./server.js";

const client = ({ fetch, url }: Host, behaviour: Behaviour = "ok") =>
  createClient(url(behaviour), "key", {
    global: { fetch },
    auth: { persistSession: false, autoRefreshToken: false },
  });

export const cases: Cases = {
  "a query, awaited": {
    run: async (host) => {
      const query = host.call(() => client(host).from("users").select("*"));
      const shape = kind(query);
      return [shape, await query];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a query is the one that was made": {
    run: async (host) => {
      let made: unknown;
      const got = host.call(() => {
        const query = client(host).from("users").select("*");
        made = query;
        return query;
      });
      return got === made;
    },
    calls: [],
    spans: ["unfinished"],
  },
  "a query that nobody awaits": {
    run: async (host) => {
      const query = host.call(() => client(host).from("users").select("*").eq("id", 1));
      await host.until(0);
      return kind(query);
    },
    calls: [],
    spans: ["unfinished"],
  },
  "a query that is built on": {
    run: async (host) => {
      const query = host.call(() => client(host).from("users").select("*"));
      return query.eq("id", 1).order("name").limit(1).single();
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a query, sent twice": {
    run: async (host) => {
      const query = host.call(() => client(host).from("users").select("*"));
      return [await query, await query];
    },
    calls: ["200 read", "200 read"],
    spans: ["done"],
  },
  "a query, of an async function": {
    run: (host) => host.call(async () => client(host).from("users").select("name").maybeSingle()),
    calls: ["200 read"],
    spans: ["done"],
  },
  "then with two callbacks": {
    run: async (host) => {
      const query = host.call(() => client(host).from("users").select("*"));
      return query.then(
        ({ data }) => data?.length,
        () => "rejected",
      );
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "an insert": {
    run: (host) => host.call(() => client(host).from("users").insert({ name: "Mary" }).select()),
    calls: ["201 read"],
    spans: ["done"],
  },
  "a function of the database": {
    run: (host) => host.call(() => client(host).rpc("greet", { name: "Ada" })),
    calls: ["200 read"],
    spans: ["done"],
  },
  "a table that is not there": {
    run: async (host) => {
      const { error, status } = await host.call(() => client(host).from("missing").select("*"));
      return [error, status];
    },
    calls: ["404 error"],
    spans: ["done"],
  },
  "a table that is not there, throwOnError()": {
    run: (host) => host.call(() => client(host).from("missing").select("*").throwOnError()),
    calls: ["404 error"],
    spans: ["error"],
  },
  "a rejection that nobody handles": {
    run: async (host) => {
      const query = host.call(() => client(host).from("missing").select("*").throwOnError());
      query.then(() => host.saw("answered"));
      await host.until(1);
    },
    calls: ["404 error"],
    spans: ["error"],
  },
  "a query, aborted": {
    run: async (host) => {
      const controller = new AbortController();
      const query = host.call(() => client(host, "silent").from("users").select("*").abortSignal(controller.signal));
      host.until(1).then(() => controller.abort());
      return query;
    },
    calls: ["0 cancelled"],
    spans: ["done"],
    hangUps: 1,
  },
  "Promise.all": {
    run: (host) => {
      const query = () => host.call(() => client(host).from("users").select("*"));
      return Promise.all([query(), query()]);
    },
    calls: ["200 read", "200 read"],
    spans: ["done", "done"],
  },
};
