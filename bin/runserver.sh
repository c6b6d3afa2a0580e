#!/bin/sh
# RocketMQ starts the name server's JVM here, and guides have its heap edited in this file:
#   JAVA_OPT="${JAVA_OPT} -server -Xms8g -Xmx8g -Xmn4g"
# There is no JVM here and no heap to size: the name server takes the tens of megabytes it needs. Whatever is edited into
# JAVA_OPT is ignored, and a line says so. The script remains for those who start it directly; mqnamesrv does the same.

self=$0
# bash looks for a script in PATH, too, and keeps no more than the name.
case $self in */*) ;; *) [ -e "$self" ] || self=$(command -v -- "$self") || self=$0 ;; esac
while [ -h "$self" ]; do
    link=$(readlink "$self")
    case $link in /*) self=$link ;; *) self=$(dirname -- "$self")/$link ;; esac
done
. "$(dirname -- "$self")/programs.sh"

JAVA_OPT=""
if [ "${1-}" = "org.apache.rocketmq.namesrv.NamesrvStartup" ]; then
    shift
fi
become_server namesrv "$@"
