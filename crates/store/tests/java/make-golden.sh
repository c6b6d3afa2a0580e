#!/bin/sh
# Makes ../golden/*.tar.gz: store directories written by RocketMQ's own store, stopped and killed, each with the list of
# its messages. LIB-<version> are folders with rocketmq-broker of that version and everything it needs.
#
#   sh make-golden.sh /path/to/LIB-4.9.7 /path/to/LIB-5.3.3
#
# KINDS="ext lmq" makes only those: `plain`, with extensions of queues (`ext`), with light message queues (`lmq`, 4.9: later
# versions give offsets to those alone).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
opens="--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED --add-opens=java.base/jdk.internal.ref=ALL-UNNAMED
 --add-opens=java.base/java.nio=ALL-UNNAMED --add-exports=java.base/sun.nio.ch=ALL-UNNAMED
 --add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED
 --add-opens=java.base/java.util=ALL-UNNAMED -Drocketmq.broker.diskSpaceWarningLevelRatio=0.97
 -Drocketmq.broker.diskSpaceCleanForciblyRatio=0.95"
mkdir -p "$here/../golden"
for lib in "$@"; do
    version=$(ls "$lib" | sed -n 's/^rocketmq-store-\([0-9.]*\)\.jar$/\1/p')
    for kind in ${KINDS:-plain ext lmq}; do for end in stop kill; do
        case "$kind-$version" in lmq-5*) continue ;; esac
        name="java-$version-$kind-$end"
        [ "$kind" != plain ] || name="java-$version-$end"
        dir="$work/$name"
        mkdir -p "$dir"
        java $opens -Duser.home="$work" -cp "$lib/*" "$here/StoreTool.java" write "$dir/store" 300 $kind $end 2>/dev/null |
            sed -n 's/^MSG //p' > "$dir/messages.txt"
        tar -C "$dir" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner -c messages.txt store |
            gzip -9n > "$here/../golden/$name.tar.gz"
    done; done
done
rm -rf "$work"
