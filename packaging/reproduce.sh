#!/bin/sh
# Builds the executor of the last commit again, in another folder, with another home directory and freshly unpacked crates.
# Fails if the two files differ.
#   packaging/reproduce.sh FILE MAKE-ARGUMENT...
set -eu
file=$1
shift
if ! git diff --quiet HEAD; then
    echo "$0: commit your changes first, because the last commit is built again" >&2
    exit 1
fi
sysroot=$(rustc --print sysroot)
if grep --quiet --text --fixed-strings "$sysroot" "$file"; then
    echo "$0: $file contains the path $sysroot" >&2
    exit 1
fi

elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
mkdir -p "$elsewhere/a folder" "$elsewhere/home/cargo/registry"
git archive HEAD | tar -x -C "$elsewhere/a folder"
cargo_home=${CARGO_HOME:-$HOME/.cargo}
cp -r "$cargo_home/registry/cache" "$cargo_home/registry/index" "$elsewhere/home/cargo/registry"
for settings in "$cargo_home"/config*; do
    test ! -e "$settings" || cp "$settings" "$elsewhere/home/cargo"
done
# Uses the same toolchain, although HOME is another one.
export RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"
HOME=$elsewhere/home CARGO_HOME=$elsewhere/home/cargo make -C "$elsewhere/a folder" "$@"
cmp "$file" "$elsewhere/a folder/$file"
sha256sum "$file"
echo "the build in $elsewhere/a folder produced the same file"
