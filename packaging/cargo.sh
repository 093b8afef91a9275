#!/bin/sh
# Builds a release executor that does not depend on the machine that builds it: the paths of sources, which panic messages
# contain, are made the same everywhere.
#   packaging/cargo.sh TARGET build|rustc [OPTION...]
set -eu
target=$1
subcommand=$2
shift 2

cargo fetch --quiet --locked --target "$target"
sysroot=$(rustc --print sysroot)
commit=$(rustc -vV | sed -n 's/^commit-hash: //p')
# The path of the sources in the precompiled standard library.
flags="\"--remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rustc/$commit\""
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags="$flags, \"--remap-path-prefix=$registry=\""
done
# The linker's map, for size.sh. Writing it does not change the executor.
flags="$flags, \"-Clink-arg=--Map=target/$target.map\""
exec cargo --config "target.$target.rustflags = [$flags]" \
    "$subcommand" --locked --release --target "$target" --package cook-executor --bin cook-executor "$@"
