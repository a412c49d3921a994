// Types of the parts of node:sqlite that sqlite-shelf.ts uses. The types of Node 20 lack the module.

declare module "node:sqlite" {
  type Value = string | number | bigint | null | Uint8Array;

  export class DatabaseSync {
    constructor(file: string);
    exec(sql: string): void;
    prepare(sql: string): StatementSync;
    close(): void;
  }

  export interface StatementSync {
    run(...values: Value[]): { lastInsertRowid: number | bigint };
    get(...values: Value[]): Record<string, Value> | undefined;
    all(...values: Value[]): Record<string, Value>[];
    iterate(...values: Value[]): Iterable<Record<string, Value>>;
  }
}
