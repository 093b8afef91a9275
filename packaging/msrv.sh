#!/bin/sh
# Checks each package with the oldest compiler that its rust-version allows.
#   packaging/msrv.sh TARGET
# Where rustup cannot install that compiler, this says so; clippy's incompatible_msrv, which is part of `make lint`,
# still finds newer parts of the standard library.
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
    # A target directory of its own, so that the everyday build is not thrown away.
    cargo "+$version" check --quiet --locked --target "$target" --target-dir target/msrv $selected
done
