#!/bin/sh
# Prints where the bytes of the release executor go, by crate and by function, and fails over budget.
# The figures by crate come from a twin with symbols; what is shipped has none.
set -eu
target=$1
budget=950000
binary=target/$target/release/cook-executor
twin=target/size
cargo build --locked --release --target "$target" --bin cook-executor
CARGO_PROFILE_RELEASE_STRIP=none cargo build --quiet --locked --release --target "$target" \
    --target-dir "$twin" --bin cook-executor
symbols=$(nm --demangle --print-size --radix=d "$twin/$target/release/cook-executor" |
    awk 'NF > 3 { size = $2; sub(/^[^ ]+ [^ ]+ [^ ]+ /, ""); print size + 0, $0 }' | sort -rn)

echo "bytes by crate (symbols only)"
echo "$symbols" | awk '{
    size = $1; name = $0; sub(/^[^ ]+ /, "", name); gsub(/[<&*]|mut |dyn /, "", name)
    crate = "(C and unnamed)"
    if (sub(/::.*/, "", name)) { crate = name; sub(/.* /, "", crate) }
    sum[crate] += size
} END { for (crate in sum) printf "%9d  %s\n", sum[crate], crate }' | sort -rn | head -25

echo "bytes by function"
echo "$symbols" | head -25 | awk '{ printf "%9d  ", $1; $1 = ""; print substr($0, 2, 110) }'

size=$(stat -c %s "$binary")
echo "$size bytes of $budget: $binary"
test "$size" -le "$budget"
