#!/bin/sh
# Makes ../golden/verdicts-<version>.txt and ../golden/bloom.txt: what RocketMQ's filter module says. LIB-<version> are folders
# with rocketmq-broker of that version and everything it needs. The test `golden_files_are_what_java_says` compares them.
#
#   sh make-golden.sh /path/to/LIB-4.9.7 /path/to/LIB-5.3.3
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for lib in "$@"; do
    version=$(ls "$lib" | sed -n 's/^rocketmq-filter-\([0-9.]*\)\.jar$/\1/p')
    java -cp "$lib/*" "$here/FilterTool.java" verdicts "$here/../messages.txt" "$here/../expressions.txt" \
        > "$here/../golden/verdicts-$version.txt"
    java -cp "$lib/*" "$here/FilterTool.java" bloom > "$here/../golden/bloom.txt"
done
