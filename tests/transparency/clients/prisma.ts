// Prisma, whose promises are lazy and are sent together in `$transaction`.

import { PrismaLibSql } from "@prisma/adapter-libsql";
import { PrismaClient } from "@prisma/client";
import type { Case, Cases, Host } from "./case.js";
import { withDatabase } from "./database.js";
import { kind } from "./harness.js";

type Client = PrismaClient<{ adapter: PrismaLibSql; log: [{ emit: "event"; level: "query" }] }>;

/** A host with a database. Notes each query when it is sent. */
const withUsers =
  (use: (prisma: Client, host: Host) => unknown): Case["run"] =>
  (host) =>
    withDatabase(async (file) => {
      const adapter = new PrismaLibSql({ url: `file:${file}` });
      const prisma: Client = new PrismaClient({ adapter, log: [{ emit: "event", level: "query" }] });
      const tables = [
        "create table User (id integer primary key, name text unique)",
        "create table Post (id integer primary key, title text, userId integer references User (id))",
        "insert into User values (1, 'Ada'), (2, 'Grace')",
        "insert into Post values (1, 'Notes', 1)",
      ];
      for (const statement of tables) await prisma.$executeRawUnsafe(statement);
      prisma.$on("query", ({ query }) => host.saw("query", query));
      try {
        return await use(prisma, host);
      } finally {
        await host.turns();
        await prisma.$disconnect();
      }
    });

export const cases: Cases = {
  "a query, awaited": {
    run: withUsers(async ({ user }, { call }) => {
      const query = call(() => user.findMany());
      return [kind(query), await query];
    }),
    spans: ["done"],
  },
  "a query is the one that was made": {
    run: withUsers(({ user }, { call }) => {
      let made: unknown;
      const got = call(() => {
        const query = user.findMany();
        made = query;
        return query;
      });
      return [got === made];
    }),
    spans: ["unfinished"],
  },
  "a query that nobody awaits": {
    run: withUsers(({ user }, { call }) => kind(call(() => user.findMany()))),
    spans: ["unfinished"],
  },
  "a query, awaited twice": {
    run: withUsers(async ({ user }, { call }) => {
      const query = call(() => user.count());
      return [await query, await query];
    }),
    spans: ["done"],
  },
  "a query, of an async function": {
    run: withUsers(({ user }, { call }) => call(async () => user.findFirst())),
    spans: ["done"],
  },
  "then, catch and finally": {
    run: withUsers(async ({ user }, { call, saw }) => {
      const names = await call(() => user.findMany()).then((found) => found.map(({ name }) => name));
      await call(() => user.findMany()).finally(() => saw("finally"));
      const failed = await call(() => user.create({ data: { id: 1, name: "x" } })).catch((error: Error) => error.name);
      return [names, failed];
    }),
    spans: ["done", "done", "error"],
  },
  "a relation of what was not awaited": {
    run: withUsers(({ user }, { call }) => call(() => user.findUnique({ where: { id: 1 } })).posts()),
    spans: ["done|unfinished"],
  },
  "queries that are sent together": {
    run: withUsers(({ user }, { call }) =>
      Promise.all([1, 2].map((id) => call(() => user.findUnique({ where: { id } })))),
    ),
    spans: ["done", "done"],
  },
  "$transaction of tracked queries": {
    run: withUsers(async (prisma, { call }) => {
      const query = (id: number, name: string) => call(() => prisma.user.create({ data: { id, name } }));
      return [await prisma.$transaction([query(3, "Mary"), query(4, "Jean")]), await prisma.user.count()];
    }),
    // Prisma asks the promises through its internal method.
    spans: ["done|unfinished", "done|unfinished"],
  },
  "$transaction of tracked queries, one of which fails": {
    run: withUsers(async (prisma, { call }) => {
      const query = (id: number, name: string) => call(() => prisma.user.create({ data: { id, name } }));
      const failed = await prisma
        .$transaction([query(3, "Mary"), query(1, "again")])
        .catch((error: Error) => error.name);
      return [failed, await prisma.user.count()];
    }),
    spans: ["done|unfinished|error", "done|unfinished|error"],
  },
  "$transaction with a function": {
    run: withUsers(async (prisma, { call }) => {
      const added = await call(() =>
        prisma.$transaction(async (inside) => inside.user.create({ data: { id: 3, name: "Mary" } })),
      );
      return [added, await prisma.user.count()];
    }),
    spans: ["done"],
  },
  "a raw query": {
    run: withUsers(async (prisma, { call }) => {
      const query = call(() => prisma.$queryRaw`select name from User where id = ${2}`);
      return [kind(query), await query];
    }),
    spans: ["done"],
  },
  "an error": {
    run: withUsers(async ({ user }, { call }) => {
      try {
        return await call(() => user.findUniqueOrThrow({ where: { id: 9 } }));
      } catch (error) {
        return [(error as Error).name, (error as { code?: string }).code];
      }
    }),
    spans: ["error"],
  },
  "an error that nobody handles": {
    run: withUsers(async ({ user }, { call, turns }) => {
      call(() => user.findUniqueOrThrow({ where: { id: 9 } })).then(() => {});
      await turns();
    }),
    spans: ["error"],
  },
};
