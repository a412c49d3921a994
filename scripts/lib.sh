# What the scripts share. Sourced, not run. Everything that is downloaded or built for the tools goes into one
# cache outside the repository, so that a fresh clone is quick.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
CACHE=${OPIK_EDGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/opik-edge}
mkdir -p "$CACHE"

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The wasm-bindgen CLI has to be of exactly the version of the crate.
WASM_BINDGEN_VERSION=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' Cargo.lock)
WASM_BINDGEN=$CACHE/wasm-bindgen-$WASM_BINDGEN_VERSION/bin

# The Python packages of the interoperation tests, by the content of their lock.
PYTHON_LOCK=tests/interop/requirements.txt
VENV=$CACHE/venv-$(sha256sum "$PYTHON_LOCK" | cut -c1-12)

# Whether the toolchain that builds here has the wasm32 standard library.
has_wasm32() { [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib" ]; }

# The fallback toolchain, made by scripts/setup where rustup can not add the target.
FALLBACK=$CACHE/wasm32-sysroot

# Runs a command with a toolchain that has the wasm32 standard library.
with_wasm32() {
  if has_wasm32; then "$@"; else RUSTC=$FALLBACK/bin/rustc RUSTDOC=$FALLBACK/bin/rustdoc "$@"; fi
}

# One hash over files and what else is given.
hash_of() { { cat -- "$@"; } | sha256sum | cut -d' ' -f1; }
