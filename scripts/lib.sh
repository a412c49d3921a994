# shellcheck shell=bash
# Functions and paths that the scripts share. Sourced, not run. All downloads and tool builds go into one cache outside
# the repository, so that a second clone is quick.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CACHE=${OPIK_EDGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/opik-edge}
mkdir -p "$CACHE"

say() { printf '== %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# SHA-256 of standard input. macOS before 15 has only shasum.
sha256() { if has sha256sum; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1; }

# One hash over the names and contents of files.
hash_of() { for file in "$@"; do printf '%s %s\n' "$file" "$(sha256 <"$file")"; done | sha256; }

# Two concurrent runs would spoil each other's files, so the second waits. The lock is held until the script ends.
lock() {
  has flock || return 0
  exec 9>"$1"
  flock --nonblock 9 && return
  say "waiting for another run of $0"
  flock 9
}

# Runs a command for at most this many seconds, if `timeout` exists (macOS has no timeout).
limit() {
  if has timeout; then
    timeout "$@"
  else
    shift
    "$@"
  fi
}

# The version of crate $1 in the lock file $2.
locked() { awk -v name="name = \"$1\"" '$0 == name { getline; gsub(/[^0-9.]/, ""); print; exit }' "$2"; }

# The wasm-bindgen CLI needs exactly the version of the crate.
WASM_BINDGEN_VERSION=$(locked wasm-bindgen Cargo.lock)
# shellcheck disable=SC2034 # setup, build and check use it
WASM_BINDGEN=$CACHE/wasm-bindgen-$WASM_BINDGEN_VERSION/bin

# The tool that Rust people build and test wasm with. The step `wasm` runs the tests by it; the build needs only cargo.
WASM_PACK_VERSION=0.15.1
# shellcheck disable=SC2034 # setup and check use it
WASM_PACK=$CACHE/wasm-pack-$WASM_PACK_VERSION/bin

# The oldest Rust that the crate promises to work with, in a separate home.
MSRV=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
# shellcheck disable=SC2034 # setup and check use it
MSRV_HOME=$CACHE/rust-$MSRV

# The tool that builds a Worker written in Rust, of the version of its crate `worker`.
WORKER_BUILD_VERSION=$(locked worker examples/rust-worker/Cargo.lock)
# shellcheck disable=SC2034 # setup and check use it
WORKER_BUILD=$CACHE/worker-build-$WORKER_BUILD_VERSION/bin

# The fuzzer, in a version that is known to work.
CARGO_FUZZ_VERSION=0.13.1
# shellcheck disable=SC2034 # setup and fuzz use it
CARGO_FUZZ=$CACHE/cargo-fuzz-$CARGO_FUZZ_VERSION/bin

# Firefox's driver, which Debian does not have.
GECKODRIVER_VERSION=0.37.0
# shellcheck disable=SC2034 # setup and check use it
GECKODRIVER=$CACHE/geckodriver-$GECKODRIVER_VERSION/bin

# The Python packages of the interoperation tests, keyed by their lock.
PYTHON_LOCK=tests/interop/requirements.txt
# shellcheck disable=SC2034 # setup and check use it
VENV=$CACHE/venv-$(sha256 <"$PYTHON_LOCK" | cut -c1-12)

# The tools that make, compose and run components, keyed by their lock. They come as Python packages.
COMPONENT_LOCK=tests/component/requirements.txt
COMPONENT_VENV=$CACHE/venv-$(sha256 <"$COMPONENT_LOCK" | cut -c1-12)
# shellcheck disable=SC2034 # component and check use it
COMPONENT_TOOLS=$COMPONENT_VENV/tools

# The Nodes that run the tests and try the package, keyed by their lock.
NODES_LOCK=tests/nodes/package-lock.json
# shellcheck disable=SC2034 # setup uses it
NODES=$CACHE/nodes-$(sha256 <"$NODES_LOCK" | cut -c1-12)

# The DOM libraries of the differential suite, keyed by their lock.
DOMS_LOCK=tests/transparency/doms/package-lock.json
# shellcheck disable=SC2034 # setup uses it
DOMS=$CACHE/doms-$(sha256 <"$DOMS_LOCK" | cut -c1-12)

# The frameworks whose servers are tested with tracing and without, keyed by their lock.
FRAMEWORKS_LOCK=tests/transparency/frameworks/package-lock.json
# shellcheck disable=SC2034 # setup uses it
FRAMEWORKS=$CACHE/frameworks-$(sha256 <"$FRAMEWORKS_LOCK" | cut -c1-12)

# Tools that build and run the consumers of the package, keyed by their lock.
CONSUMERS_LOCK=tests/package/consumers/package-lock.json
# shellcheck disable=SC2034 # setup and check use it
CONSUMERS=$CACHE/consumers-$(sha256 <"$CONSUMERS_LOCK" | cut -c1-12)

# Frameworks that build Workers, keyed by their lock.
BUILDS_LOCK=tests/package/consumers/builds/package-lock.json
# shellcheck disable=SC2034 # setup and check use it
BUILDS=$CACHE/builds-$(sha256 <"$BUILDS_LOCK" | cut -c1-12)

# The clients that are tried with tracing and without, keyed by their lock and the schema that Prisma's is generated from.
CLIENTS_LOCK=tests/transparency/clients/package-lock.json
# shellcheck disable=SC2034 # setup uses it
CLIENTS=$CACHE/clients-$(cat "$CLIENTS_LOCK" tests/transparency/clients/schema.prisma | sha256 | cut -c1-12)

# The SDKs of models' providers, keyed by their lock.
MODELS_LOCK=tests/models/package-lock.json
# shellcheck disable=SC2034 # setup uses it
MODELS=$CACHE/models-$(sha256 <"$MODELS_LOCK" | cut -c1-12)

# Cloudflare's Agents, which are tested with tracing and without, keyed by their lock.
AGENTS_LOCK=tests/transparency/agents/package-lock.json
# shellcheck disable=SC2034 # setup uses it
AGENTS=$CACHE/agents-$(sha256 <"$AGENTS_LOCK" | cut -c1-12)

# Tools that generate the API reference and run recipes of the guides, keyed by their lock.
DOCS_LOCK=tests/docs/tools/package-lock.json
# shellcheck disable=SC2034 # setup, docs and check use it
DOCS_TOOLS=$CACHE/docs-$(sha256 <"$DOCS_LOCK" | cut -c1-12)
# The peers in bench/, keyed by their locks. Langfuse needs an older OpenTelemetry than the current version.
BENCH_LOCK=bench/package-lock.json
# shellcheck disable=SC2034 # setup uses it
BENCH=$CACHE/bench-$(sha256 <"$BENCH_LOCK" | cut -c1-12)
LANGFUSE_LOCK=bench/langfuse/package-lock.json
# shellcheck disable=SC2034 # setup uses it
LANGFUSE=$CACHE/langfuse-$(sha256 <"$LANGFUSE_LOCK" | cut -c1-12)

# Succeeds if the installed compiler has the wasm32 standard library, from rustup or elsewhere.
has_wasm32() {
  local lib
  lib=$(rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null) || return 1
  compgen -G "$lib/libstd-*.rlib" >/dev/null
}

# The sysroot that scripts/setup makes from Debian's rustc-web if rustup cannot add the target. It belongs to exactly
# one version of that compiler.
fallback_sysroot() { printf '%s/wasm32-sysroot-%s' "$CACHE" "$(dpkg-query -W -f '${Version}' rustc-web 2>/dev/null)"; }

# Runs a command with a compiler that has the wasm32 standard library: the installed compiler, or Debian's with the fallback
# sysroot. RUSTC rather than `rustup toolchain link`: it needs no rustup, and changes nothing outside the cache.
with_wasm32() {
  if has_wasm32; then
    "$@"
  else
    local bin
    bin=$(fallback_sysroot)/bin
    # Tools around cargo ask the first rustc on the PATH.
    PATH=$bin:$PATH RUSTC=$bin/rustc RUSTDOC=$bin/rustdoc "$@"
  fi
}

# The compiler's flags for the modules of the npm package, in the form of CARGO_ENCODED_RUSTFLAGS. Memory ends at 64 MB:
# growth beyond that fails in our instance, not in the whole isolate. Paths of this machine must not end up in a module.
module_flags() { printf '%s\x1f%s' -Clink-arg=--max-memory=67108864 "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"; }

# Puts the Node of the tests first on the PATH. The package supports older versions, but wrangler and Miniflare want 22.
# The lock has no Node for some machines; those use the installed Node.
use_node() {
  PATH=$PWD/tests/nodes/node_modules/node-24/bin:$PATH
  node -e 'process.exit(Number.parseInt(process.versions.node) < 22 ? 1 : 0)' ||
    die "Node 22 or newer is missing: there is no package of it for this machine, and $(node -v) is at hand"
}

# Prepares the counting of bench/gate.ts: callgrind, if it is available; the core as a native program; and the name of
# the compiler that made the module.
prepare_counting() {
  scripts/setup valgrind || true
  CARGO_TARGET_DIR=target/instructions cargo build --quiet --locked --release --manifest-path bench/instructions/Cargo.toml
  # shellcheck disable=SC2016 # RUSTC is the one that with_wasm32 sets
  OPIK_EDGE_WASM_RUSTC=$(with_wasm32 bash -c '"${RUSTC:-rustc}" -V')
  export OPIK_EDGE_WASM_RUSTC
}
