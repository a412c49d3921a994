// Keeps the WebAssembly instances that the process makes, to measure their memory. Import it before the package.

const { Instance } = WebAssembly;
const instances: WebAssembly.Instance[] = [];
Object.assign(WebAssembly, {
  Instance: function instance(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
    const made = new Instance(module, imports);
    // The instance that decodes a module's text has no imports. It is not one of ours, and is not kept.
    if (imports) instances.push(made);
    return made;
  },
});

/** The memory of each instance, in bytes. */
export function wasmBytes(): number[] {
  return instances.map(({ exports }) => (exports["memory"] as WebAssembly.Memory).buffer.byteLength);
}
