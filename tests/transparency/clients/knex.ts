// `knex`, which sends a query when it is awaited. Its driver `libsql` has the interface of better-sqlite3 and needs no compiler.

import { createRequire } from "node:module";
import knex, { type Knex } from "knex";
import type { Case, Cases, Host } from "./case.js";
import { all, kind } from "./harness.js";

const require = createRequire(import.meta.url);
const Client: typeof Knex.Client = require("knex/lib/dialects/better-sqlite3/index.js");
class LibSql extends Client {
  _driver(): unknown {
    return require("libsql");
  }
}

interface User {
  readonly id: number;
  readonly name: string;
}

/** A host with a database. Notes each query when it is sent. */
const withUsers =
  (use: (db: Knex, host: Host) => unknown): Case["run"] =>
  async (host) => {
    const db = knex({
      client: LibSql as unknown as string,
      connection: { filename: ":memory:" },
      useNullAsDefault: true,
      pool: { min: 1, max: 1 },
    });
    await db.schema.createTable("users", (table) => {
      table.integer("id").primary();
      table.string("name");
    });
    await db("users").insert([
      { id: 1, name: "Ada" },
      { id: 2, name: "Grace" },
    ]);
    db.on("query", ({ sql }: { sql: string }) => host.saw("query", sql));
    try {
      return await use(db, host);
    } finally {
      await host.turns();
      await db.destroy();
    }
  };

/** Only the kind and the text: most members of a builder lead to its client. */
const shape = (value: object): unknown => [kind(value), String(value)];

export const cases: Cases = {
  "a query, awaited": {
    run: withUsers(async (db, { call }) => {
      const query = call(() => db<User>("users").where({ id: 1 }));
      return [shape(query), await query];
    }),
    spans: ["done"],
  },
  "a query is the one that was made": {
    run: withUsers((db, { call }) => {
      let made: unknown;
      const got = call(() => {
        const query = db<User>("users");
        made = query;
        return query;
      });
      return [got === made];
    }),
    spans: ["unfinished"],
  },
  "a query that nobody awaits": {
    run: withUsers((db, { call }) => [call(() => db<User>("users").where({ id: 1 })).toSQL().sql]),
    spans: ["unfinished"],
  },
  "a query that is built on": {
    run: withUsers((db, { call }) =>
      call(() => db<User>("users"))
        .where("id", ">", 0)
        .orderBy("name", "desc")
        .select("name")
        .limit(1),
    ),
    spans: ["done"],
  },
  "a query of a clone": {
    run: withUsers(async (db, { call }) => {
      const query = call(() => db<User>("users"));
      return [await query.clone().where({ id: 2 }), await query];
    }),
    spans: ["done"],
  },
  "a query in a query": {
    run: withUsers((db, { call }) => {
      const ids = call(() => db<User>("users").select("id").where({ name: "Ada" }));
      return db<User>("users").whereIn("id", ids);
    }),
    spans: ["unfinished"],
  },
  "a query, sent twice": {
    run: withUsers(async (db, { call }) => {
      const query = call(() => db<User>("users").count("* as n"));
      return [await query, await query];
    }),
    spans: ["done"],
  },
  "a query, of an async function": {
    run: withUsers((db, { call }) => call(async () => db<User>("users").first())),
    spans: ["done"],
  },
  "then, catch and finally": {
    run: withUsers(async (db, { call, saw }) => {
      const names = await call(() => db<User>("users")).then((users) => users.map(({ name }) => name));
      await call(() => db<User>("users")).finally(() => saw("finally"));
      const failed = await call(() => db("missing")).catch((error: Error) => error);
      return [names, failed];
    }),
    spans: ["done", "done", "error"],
  },
  "a raw query": {
    run: withUsers(async (db, { call }) => {
      const query = call(() => db.raw("select name from users where id = ?", [2]));
      return [kind(query), await query];
    }),
    spans: ["done"],
  },
  "an insert, once": {
    run: withUsers(async (db, { call }) => {
      await call(() => db<User>("users").insert({ id: 3, name: "Mary" }));
      return db<User>("users");
    }),
    spans: ["done"],
  },
  "a change of the schema": {
    run: withUsers(async (db, { call }) => {
      await call(() => db.schema.createTable("posts", (table) => table.increments()));
      return db.schema.hasTable("posts");
    }),
    spans: ["done"],
  },
  "a transaction": {
    run: withUsers(async (db, { call }) => {
      const added = await call(() =>
        db.transaction(async (transaction) => {
          await transaction<User>("users").insert({ id: 3, name: "Mary" });
          return transaction<User>("users").count("* as n");
        }),
      );
      return [added, await db<User>("users").count("* as n")];
    }),
    spans: ["done"],
  },
  "a transaction that is rolled back": {
    run: withUsers(async (db, { call }) => {
      const failed = await call(() =>
        db.transaction(async (transaction) => {
          await transaction<User>("users").insert({ id: 3, name: "Mary" });
          throw new RangeError("no");
        }),
      ).catch((error: Error) => error);
      return [failed, await db<User>("users").count("* as n")];
    }),
    spans: ["error"],
  },
  "a stream of rows": {
    run: withUsers((db, { call }) => all(call(() => db<User>("users").stream()))),
    spans: ["done"],
  },
  "a query, as a stream": {
    run: withUsers((db, { call }) => all(call(() => db<User>("users")).stream())),
    spans: ["unfinished"],
  },
  "a query, with a callback": {
    run: withUsers(
      (db, { call }) =>
        new Promise((resolve) => {
          call(() => db<User>("users")).asCallback((error: Error | null, rows: User[]) => resolve([error, rows]));
        }),
    ),
    spans: ["done|unfinished"],
  },
  "an error": {
    run: withUsers((db, { call }) => call(() => db("missing").select("*"))),
    spans: ["error"],
  },
  "an error that nobody handles": {
    run: withUsers(async (db, { call, turns }) => {
      call(() => db("missing")).then(() => {});
      await turns();
    }),
    spans: ["error"],
  },
  "Promise.all": {
    run: withUsers((db, { call }) =>
      Promise.all([1, 2].map((id) => call(() => db<User>("users").where({ id }).first("name")))),
    ),
    spans: ["done", "done"],
  },
  "a rejection that nobody handles ends the process": {
    crashes: true,
    run: withUsers(async (db, { call, turns }) => {
      call(() => db("missing")).then(() => {});
      await turns();
    }),
  },
};
