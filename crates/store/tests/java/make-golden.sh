#!/bin/sh
# Makes ../golden/*.tar.gz: store directories written by RocketMQ's own store, stopped and killed, each with the list of
# its messages. LIB-<version> are folders with rocketmq-broker of that version and everything it needs.
#
#   sh make-golden.sh /path/to/LIB-4.9.7 /path/to/LIB-5.3.3
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
    for end in stop kill; do
        dir="$work/java-$version-$end"
        mkdir -p "$dir"
        java $opens -Duser.home="$work" -cp "$lib/*" "$here/StoreTool.java" write "$dir/store" 300 $end 2>/dev/null |
            sed -n 's/^MSG //p' > "$dir/messages.txt"
        tar -C "$dir" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner -c messages.txt store |
            gzip -9n > "$here/../golden/java-$version-$end.tar.gz"
    done
done
rm -rf "$work"
