export interface Size {
  readonly what: string;
  readonly bytes: number;
}
export function measureSizes(): Promise<Size[]>;
export function bundle(source: string, conditions: readonly string[], resolveDir?: string): Promise<Uint8Array>;
export function gzipped(bytes: Uint8Array): number;
