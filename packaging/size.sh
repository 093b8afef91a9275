#!/bin/sh
# Prints where the bytes of an executor go, by crate and by function, and fails over budget.
#   packaging/size.sh TARGET
# The figures by crate come from a twin with symbols; what is shipped has none.
set -eu
target=$1
budget=700000
binary=target/$target/release/cook-executor
packaging/cargo.sh "$target" rustc --quiet -- -C strip=none
symbols=$(nm --demangle --print-size --radix=d "$binary" |
    awk 'NF > 3 { size = $2; sub(/^[^ ]+ [^ ]+ [^ ]+ /, ""); print size + 0, $0 }' | sort -rn)
packaging/cargo.sh "$target" build --quiet

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
