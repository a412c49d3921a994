// What sqlite-shelf.ts uses of a module that the oldest Node of the package has not: its types are not those of Node 20.

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
