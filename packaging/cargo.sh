#!/bin/sh
# Runs cargo for a release executor, so that the file does not depend on where it is built: the paths
# of sources, which panics name, lose what is a matter of this machine.
#   packaging/cargo.sh release|tiny TARGET build|rustc [OPTION...]
# The tiny one has a standard library that is built for size as well, in place of the ready-made one.
# Cargo calls that unstable, and takes it from a stable toolchain only if told to.
set -eu
kind=$1
target=$2
subcommand=$3
shift 3
case $kind in
release) ;;
tiny)
    export RUSTC_BOOTSTRAP=1
    # Crates that would use unstable features wherever they find some (anyhow: backtraces) do not then.
    export RUSTC_STAGE=1
    set -- -Z build-std=std,panic_abort -Z build-std-features=optimize_for_size \
        --target-dir target/tiny "$@"
    ;;
*)
    echo "$0: there is no kind $kind" >&2
    exit 2
    ;;
esac

cargo fetch --quiet --locked --target "$target"
sysroot=$(rustc --print sysroot)
commit=$(rustc -vV | sed -n 's/^commit-hash: //p')
# The name that the ready-made standard library has for its sources.
flags="\"--remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rustc/$commit\""
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags="$flags, \"--remap-path-prefix=$registry=\""
done
exec cargo --config "target.$target.rustflags = [$flags]" \
    "$subcommand" --locked --release --target "$target" --package cook-executor --bin cook-executor "$@"
