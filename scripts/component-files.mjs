// Writes the files by which components are published: SHA256SUMS, and for each an OCI image layout as `wkg` and other clients
// expect it (CNCF's "Wasm OCI Artifact layout"). Run by scripts/component: FOLDER VERSION NAME…

import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const [folder, version, ...names] = process.argv.slice(2);
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** `wasi:http/types@0.3.2`, … : the names of a world's imports or exports, from the JSON of `wasm-tools component wit`. */
function namesOf(wit, items) {
  return Object.entries(items).map(([key, { interface: found }]) => {
    if (found === undefined) return key;
    const { name, package: index } = wit.interfaces[found.id];
    const [own, at] = wit.packages[index].name.split("@");
    return `${own}/${name}@${at}`;
  });
}

async function writeLayout(name, component) {
  const out = join(folder, "oci", `opik-${name}`);
  await rm(out, { recursive: true, force: true });
  await mkdir(join(out, "blobs/sha256"), { recursive: true });
  const blob = async (mediaType, bytes) => {
    const digest = sha256(bytes);
    await writeFile(join(out, "blobs/sha256", digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const json = (mediaType, value) => blob(mediaType, Buffer.from(JSON.stringify(value)));

  const wit = JSON.parse(await readFile(join(folder, `build/${name}.json`), "utf8"));
  const { imports, exports } = wit.worlds.at(-1);
  const layer = await blob("application/wasm", component);
  // The time of the build would give equal components different digests.
  const created = new Date(Number(process.env["SOURCE_DATE_EPOCH"] ?? 0) * 1000).toISOString();
  const config = await json("application/vnd.wasm.config.v0+json", {
    created,
    author: null,
    architecture: "wasm",
    os: "wasip2",
    layerDigests: [layer.digest],
    component: { exports: namesOf(wit, exports), imports: namesOf(wit, imports), target: null },
  });
  const manifest = await json("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config,
    layers: [layer],
    annotations: {
      "org.opencontainers.image.title": `opik-${name}`,
      "org.opencontainers.image.version": version,
      "org.opencontainers.image.licenses": "Apache-2.0",
    },
  });
  const tagged = { ...manifest, annotations: { "org.opencontainers.image.ref.name": version } };
  await writeFile(join(out, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  await writeFile(join(out, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [tagged] }));
}

const sums = [];
for (const name of names) {
  const file = `opik-${name}.wasm`;
  const component = await readFile(join(folder, file));
  sums.push(`${sha256(component)}  ${file}\n`);
  await writeLayout(name, component);
  console.log(`${file}  ${component.length} bytes, ${gzipSync(component, { level: 9 }).length} gzip`);
}
await writeFile(join(folder, "SHA256SUMS"), sums.join(""));
