#!/bin/sh
# Makes ../golden/java-<version>/: the files under config/ as the broker's own classes write them. LIB-<version> are folders
# with rocketmq-broker of that version and everything it needs.
#
#   sh make-golden.sh /path/to/LIB-4.9.7 /path/to/LIB-5.3.3
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
opens="--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED --add-opens=java.base/jdk.internal.ref=ALL-UNNAMED
 --add-opens=java.base/java.nio=ALL-UNNAMED --add-exports=java.base/sun.nio.ch=ALL-UNNAMED
 --add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED
 --add-opens=java.base/java.util=ALL-UNNAMED"
for lib in "$@"; do
    version=$(ls "$lib" | sed -n 's/^rocketmq-store-\([0-9.]*\)\.jar$/\1/p')
    java $opens -Duser.home="$work" -cp "$lib/*" "$here/ConfigTool.java" write "$work/$version"
    rm -rf "$here/../golden/java-$version"
    cp -r "$work/$version/config" "$here/../golden/java-$version"
done
rm -rf "$work"
