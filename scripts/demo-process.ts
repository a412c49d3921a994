// Shared by the demos.

/** The OPIK_* variables of this process, for the Worker's own variables. */
export function variables(): Record<string, string> {
  const names = ["OPIK_API_KEY", "OPIK_WORKSPACE", "OPIK_PROJECT_NAME", "OPIK_ENVIRONMENT"];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** Where the page of a viewer is. */
export function pageOf({ url }: { readonly url: string }): string {
  return url.replace(/api$/, "");
}

/** Runs until a signal ends the process, then calls `close`. */
export function stayUp(close: () => Promise<void>): void {
  const end = async (): Promise<void> => {
    await close();
    process.exit(0);
  };
  process.once("SIGINT", end);
  process.once("SIGTERM", end);
}
