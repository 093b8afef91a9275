#!/bin/sh
# Runs cargo for a release executor, so that the file does not depend on where it is built: the paths
# of sources, which panics name, lose what is a matter of this machine.
#   packaging/cargo.sh TARGET build|rustc [OPTION...]
set -eu
target=$1
subcommand=$2
shift 2

cargo fetch --quiet --locked --target "$target"
sysroot=$(rustc --print sysroot)
commit=$(rustc -vV | sed -n 's/^commit-hash: //p')
# The name that the ready-made standard library has for its sources.
flags="\"--remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rustc/$commit\""
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags="$flags, \"--remap-path-prefix=$registry=\""
done
# Where each byte of the file comes from, for size.sh. It is written beside the build and does not change it.
flags="$flags, \"-Clink-arg=--Map=target/$target.map\""
exec cargo --config "target.$target.rustflags = [$flags]" \
    "$subcommand" --locked --release --target "$target" --package cook-executor --bin cook-executor "$@"
