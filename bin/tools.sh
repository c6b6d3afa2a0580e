#!/bin/sh
# Runs a program by the name of its Java class, as RocketMQ's tools.sh does:
#   sh tools.sh org.apache.rocketmq.example.quickstart.Producer
# The name server comes from the environment variable NAMESRV_ADDR.

self=$0
# bash looks for a script in PATH, too, and keeps no more than the name.
case $self in */*) ;; *) [ -e "$self" ] || self=$(command -v -- "$self") || self=$0 ;; esac
while [ -h "$self" ]; do
    link=$(readlink "$self")
    case $link in /*) self=$link ;; *) self=$(dirname -- "$self")/$link ;; esac
done
. "$(dirname -- "$self")/programs.sh"

if [ $# -eq 0 ]; then
    echo "Usage: tools.sh CLASS [ARGUMENTS], for example tools.sh org.apache.rocketmq.example.quickstart.Producer" >&2
    exit 1
fi
program=$(find_program mqadmin) || exit 1
case $1 in
    -h | --help) exec "$program" --help ;;
    org.apache.rocketmq.tools.command.MQAdminStartup)
        shift
        exec "$program" "$@"
        ;;
    *)
        exec "$program" --class "$@"
        ;;
esac
