// The public surface of `opik-edge/testing`.

export { capture } from "./capture.js";
export { type FakeClock, type Restorable, useDeterministicIds, useFakeClock } from "./environment.js";
export {
  type ExportedRequest,
  type ExportedRow,
  type ExportedScore,
  InMemoryExporter,
  type ScoreRow,
} from "./exporter.js";
export { assertTrees, type ExpectedTree, type Tree, treesOf } from "./tree.js";
