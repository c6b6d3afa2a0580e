#!/bin/sh
# How long opening a killed broker's store takes, ours beside Java's, in turns on copies of the same directories: a log of
# GIB GiB in 8 queues, and QUEUES queues with a message each, both without a checkpoint.
#
#   sh crates/store/examples/beside-java.sh LIB [GIB] [QUEUES] [ROUNDS]
#
# LIB is a folder with rocketmq-broker and everything it needs (tests/java/servers/target/VERSION/lib after a run of the e2e
# tests). DIR says where the directories are made (default: a temporary one); they go at the end. Java keeps a descriptor
# and a mapping for each queue: `ulimit -n` and vm.max_map_count bound how many QUEUES it can open.
set -eu
lib=$1 gib=${2:-2} queues=${3:-15000} rounds=${4:-3}
root=$(cd "$(dirname "$0")/../../.." && pwd)
dir=$(mktemp -d "${DIR:-${TMPDIR:-/tmp}}/beside-java.XXXXXX")
trap 'rm -rf "$dir"' EXIT
cargo build --quiet --release -p store --example measure --manifest-path "$root/Cargo.toml"
measure="${CARGO_TARGET_DIR:-$root/target}/release/examples/measure"
opens="--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED --add-opens=java.base/jdk.internal.ref=ALL-UNNAMED
 --add-opens=java.base/java.nio=ALL-UNNAMED --add-exports=java.base/sun.nio.ch=ALL-UNNAMED
 --add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED
 --add-opens=java.base/java.util=ALL-UNNAMED -Drocketmq.broker.diskSpaceWarningLevelRatio=0.97
 -Drocketmq.broker.diskSpaceCleanForciblyRatio=0.95"

open_each() {
    what=$1
    "$measure" make "$dir/made" $2 $3
    rm -f "$dir/made/checkpoint"
    for round in $(seq "$rounds"); do
        for who in ours java; do
            cp -a --sparse=always "$dir/made" "$dir/store"
            sync -f "$dir"
            case $who in
            ours) "$measure" open "$dir/store" | tail -1 | sed "s/^/$what, round $round, ours: /" ;;
            java)
                timeout 600 java $opens -Xmx2g -Duser.home="$dir/home" -cp "$lib/*" \
                    "$root/crates/store/tests/java/OpenStore.java" "$dir/store" 2>&1 |
                    grep -a "^open by Java\|Too many open files\|Map failed" | head -1 | sed "s/^/$what, round $round, /"
                ;;
            esac
            rm -rf "$dir/store"
        done
    done
    rm -rf "$dir/made"
}

# 1,201 bytes a record, so about 894,000 to the GiB.
open_each "$gib GiB of log" records $((gib * 894000))
open_each "$queues queues" queues "$queues"
