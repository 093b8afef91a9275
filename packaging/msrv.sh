#!/bin/sh
# Checks that each package builds with the compiler of its rust-version.
#   packaging/msrv.sh TARGET
# If rustup cannot install that compiler, this prints SKIPPED. `make lint` still finds uses of a newer standard library
# (clippy's incompatible_msrv).
set -eu
target=$1

packages=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    print(package["rust_version"], package["name"])')

for version in $(echo "$packages" | cut -d " " -f 1 | sort -uV); do
    names=$(echo "$packages" | awk -v version="$version" '$1 == version { print $2 }')
    if ! rustup toolchain install "$version" --profile minimal --target "$target" >target/msrv.log 2>&1; then
        tail -n 3 target/msrv.log >&2
        echo "SKIPPED: rustup could not install Rust $version to check:" $names >&2
        continue
    fi
    selected=$(for name in $names; do printf -- '--package %s ' "$name"; done)
    echo "Rust $version:" $names
    # A separate target directory keeps the other build.
    cargo "+$version" check --quiet --locked --target "$target" --target-dir target/msrv $selected
done
