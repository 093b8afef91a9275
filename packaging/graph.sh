#!/bin/sh
# Checks that the executor's dependencies do not include crates that only the other programs may use, and that it is built
# alone, without the features that other packages enable.
#   packaging/graph.sh TARGET
set -eu
target=$1

# Prints the dependencies, one crate per line.
graph() {
    cargo tree --locked --target "$target" --edges normal,build --prefix none --no-dedupe "$@" |
        sed 's/ (.*//' | sort -u
}

executor=$(graph --package cook-executor)
for package in cook-scheduler cook-agent cook-local cook-test-agent redb tokio async-std; do
    if echo "$executor" | grep -q "^$package v"; then
        echo "$0: $package is in the executor's graph; see: cargo tree --package cook-executor --invert $package" >&2
        exit 1
    fi
done

# A build of the whole workspace would enable the features of all packages.
if ! grep -q -- '--package cook-executor --bin cook-executor' packaging/cargo.sh; then
    echo "$0: packaging/cargo.sh has to build the executor alone (--package cook-executor)" >&2
    exit 1
fi
echo "the executor's graph: $(echo "$executor" | wc -l) packages, none of the other programs'"
