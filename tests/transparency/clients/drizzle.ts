// `drizzle-orm`, which sends a query when it is awaited.

import { createClient } from "@libsql/client";
import { eq, sql } from "drizzle-orm";
import { drizzle, type LibSQLDatabase } from "drizzle-orm/libsql";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type { Case, Cases, Host } from "./case.js";
import { withDatabase } from "./database.js";
import { kind } from "./harness.js";

const users = sqliteTable("users", { id: integer("id").primaryKey(), name: text("name").notNull() });
type Database = LibSQLDatabase<{ users: typeof users }>;

/** A host with a database. Notes each query when it is sent. */
const withUsers =
  (use: (db: Database, host: Host) => unknown): Case["run"] =>
  (host) =>
    withDatabase(async (file) => {
      const client = createClient({ url: `file:${file}` });
      await client.executeMultiple(
        "create table users (id integer primary key, name text not null); insert into users values (1, 'Ada'), (2, 'Grace')",
      );
      const db = drizzle(client, {
        schema: { users },
        logger: { logQuery: (query, params) => host.saw("query", [query, params]) },
      });
      try {
        return await use(db, host);
      } finally {
        await host.turns();
        client.close();
      }
    });

export const cases: Cases = {
  "a query, awaited": {
    run: withUsers(async (db, { call }) => {
      const query = call(() => db.select().from(users).where(eq(users.id, 1)));
      return [kind(query), query instanceof Promise, await query];
    }),
    spans: ["done"],
  },
  "a query is the one that was made": {
    run: withUsers((db, { call }) => {
      let made: unknown;
      const got = call(() => {
        const query = db.select().from(users);
        made = query;
        return query;
      });
      return [got === made];
    }),
    spans: ["unfinished"],
  },
  "a query that nobody awaits": {
    run: withUsers((db, { call }) => [call(() => db.select().from(users)).toSQL()]),
    spans: ["unfinished"],
  },
  "a query that is built on": {
    run: withUsers((db, { call }) =>
      call(() => db.select({ name: users.name }).from(users).$dynamic())
        .orderBy(users.name)
        .limit(1),
    ),
    spans: ["done"],
  },
  "a query in a query": {
    run: withUsers((db, { call }) => {
      const inner = call(() => db.select().from(users).where(eq(users.id, 2)).as("inner"));
      return db.select().from(inner);
    }),
    spans: ["done"],
  },
  "a query, sent twice": {
    run: withUsers(async (db, { call }) => {
      const query = call(() => db.select().from(users));
      return [await query, await query];
    }),
    spans: ["done"],
  },
  "a query, of an async function": {
    run: withUsers((db, { call }) => call(async () => db.select().from(users))),
    spans: ["done"],
  },
  "then, catch and finally": {
    run: withUsers(async (db, { call, saw }) => {
      const names = await call(() => db.select().from(users)).then((found) => found.map(({ name }) => name));
      await call(() => db.select().from(users)).finally(() => saw("finally"));
      const failed = await call(() => db.insert(users).values({ id: 1, name: "again" })).catch((error: Error) => error);
      return [names, failed];
    }),
    spans: ["done", "done", "error"],
  },
  "all(), get(), values(), run()": {
    run: withUsers(async (db, { call }) => [
      await call(() => db.select().from(users)).all(),
      await call(() => db.select().from(users)).get(),
      await call(() => db.select().from(users)).values(),
      (await call(() => db.insert(users).values({ id: 3, name: "Mary" })).run()).rowsAffected,
    ]),
    spans: ["done|unfinished", "done|unfinished", "done|unfinished", "done|unfinished"],
  },
  "prepare()": {
    run: withUsers(async (db, { call }) => {
      const query = call(() =>
        db
          .select()
          .from(users)
          .where(eq(users.id, sql.placeholder("id")))
          .prepare(),
      );
      return [await query.all({ id: 1 }), await query.all({ id: 2 })];
    }),
    spans: ["done"],
  },
  "a query of relations": {
    run: withUsers(async (db, { call }) => {
      const query = call(() => db.query.users.findMany({ where: eq(users.id, 2) }));
      return [kind(query), await query];
    }),
    spans: ["done"],
  },
  "an insert, once": {
    run: withUsers(async (db, { call }) => {
      const [added] = await call(() => db.insert(users).values({ id: 3, name: "Mary" }).returning());
      return [added, await db.$count(users)];
    }),
    spans: ["done"],
  },
  "a count": {
    run: withUsers(async (db, { call }) => {
      const count = call(() => db.$count(users));
      return [kind(count), await count];
    }),
    spans: ["done"],
  },
  "a raw query": {
    run: withUsers(async (db, { call }) => {
      const query = call(() => db.all(sql`select name from users`));
      return [kind(query), await query];
    }),
    spans: ["done"],
  },
  "a batch": {
    run: withUsers((db, { call }) => {
      const query = (id: number) => call(() => db.select().from(users).where(eq(users.id, id)));
      return db.batch([query(1), query(2)]);
    }),
    spans: ["unfinished", "unfinished"],
  },
  "a transaction": {
    run: withUsers(async (db, { call }) => {
      const added = await call(() =>
        db.transaction(async (transaction) => {
          await transaction.insert(users).values({ id: 3, name: "Mary" });
          return transaction.select().from(users);
        }),
      );
      return [added, await db.$count(users)];
    }),
    spans: ["done"],
  },
  "an error": {
    run: withUsers((db, { call }) => call(() => db.insert(users).values({ id: 1, name: "again" }))),
    spans: ["error"],
  },
  "Promise.all": {
    run: withUsers((db, { call }) =>
      Promise.all([1, 2].map((id) => call(() => db.select().from(users).where(eq(users.id, id))))),
    ),
    spans: ["done", "done"],
  },
};
