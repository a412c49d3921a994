// Vite's own build for servers ignores the conditions of Workers, so wrangler bundles the package.
export default { build: { ssr: "worker.js" }, ssr: { noExternal: true, external: ["opik-edge"] } };
