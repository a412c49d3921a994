// Reads a tree that the collector has drawn.

/** The lines of a tree, with only the branches and the names. */
export function namesIn(tree: string): string[] {
  return tree.split("\n").map((line) => {
    const [, branch = "", name = ""] = /^(?:trace \S+ |([ │├└─]*))("(?:[^"\\]|\\.)*")/.exec(line) ?? [];
    return branch + (name && JSON.parse(name));
  });
}
