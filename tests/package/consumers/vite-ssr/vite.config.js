// Vite's own build for servers, which knows no condition of a Worker: wrangler bundles the package.
export default { build: { ssr: "worker.js" }, ssr: { noExternal: true, external: ["opik-edge"] } };
