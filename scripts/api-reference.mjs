// Generates the API reference with TypeDoc, a page for each entry of the package, into the folder that is its argument.
// An export without a comment is an error, and so is a link that leads nowhere.

import { rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [out] = process.argv.slice(2);
const tools = process.env.OPIK_EDGE_DOCS;
const inTools = createRequire(join(tools, "package.json"));
const { Application, Converter, ReflectionKind } = await import(pathToFileURL(inTools.resolve("typedoc")));

const { name, exports } = createRequire(import.meta.url)("../package.json");
/** The entries, keyed by TypeDoc's names for their sources: `server/hono` is `hono`. */
const entries = new Map(
  Object.entries(exports)
    .filter(([, { types }]) => types)
    .map(([path, { types }]) => [
      types.replace(/^\.\/pkg\/(.*?)(?:(?<=.)\/index)?\.d\.ts$/, "$1"),
      path.slice(2) || name,
    ]),
);

const app = await Application.bootstrapWithPlugins({
  entryPoints: Object.values(exports).flatMap(
    ({ types }) => types?.replace(/^\.\/pkg\/(.*)\.d\.ts$/, "js/$1.ts") ?? [],
  ),
  tsconfig: "tsconfig.build.json",
  plugin: [inTools.resolve("typedoc-plugin-markdown")],
  outputs: [{ name: "markdown", path: out }],
  name: `${name}: API reference`,
  logLevel: "Warn",
  readme: "none",
  // Links to source lines would change with every edit.
  disableSources: true,
  // Leaves out the members of `Error`.
  excludeExternals: true,
  sort: ["source-order"],
  validation: { notDocumented: true, notExported: true, invalidLink: true },
  // Parts of exported types that users need not name; the comments of those types describe them.
  intentionallyNotExported: ["AnyFunction", "EnvOf", "Handler", "Sends"],
  requiredToBeDocumented: [
    "Class",
    "Constructor",
    "Enum",
    "Function",
    "Interface",
    "Method",
    "Property",
    "Accessor",
    "TypeAlias",
    "Variable",
  ],
  treatWarningsAsErrors: true,
  router: "module",
  entryFileName: "README.md",
  hidePageHeader: true,
  hideBreadcrumbs: true,
  useCodeBlocks: true,
  useHTMLAnchors: true,
  expandParameters: true,
  parametersFormat: "table",
  interfacePropertiesFormat: "table",
  propertyMembersFormat: "table",
  typeDeclarationFormat: "table",
  pageTitleTemplates: { module: ({ name: entry }) => (entry === name ? name : `${name}/${entry}`) },
});
app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
  for (const module of project.getChildrenByKind(ReflectionKind.Module)) {
    module.name = entries.get(module.name);
  }
});
// The comments above the literals of a union become a table: the plugin would leave them out.
app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
  for (const { type, comment } of project.getReflectionsByKind(ReflectionKind.TypeAlias)) {
    if (!type?.elementSummaries) continue;
    const rows = type.types.map((literal, index) => {
      const summary = type.elementSummaries[index].map(({ text }) => text).join("");
      return `| \`${literal.value}\` | ${summary.replaceAll("\n", " ").replaceAll("|", "\\|")} |`;
    });
    comment.summary.push({ kind: "text", text: ["\n\n| | |", "|---|---|", ...rows].join("\n") });
  }
});

const project = await app.convert();
if (!project) process.exit(1);
app.validate(project);
if (app.logger.hasErrors() || app.logger.hasWarnings()) process.exit(1);
await rm(out, { recursive: true, force: true });
await app.generateOutputs(project);
if (app.logger.hasErrors()) process.exit(1);
