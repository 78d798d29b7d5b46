#!/bin/sh
# run.sh COMMAND [ARGUMENT...]: a command in a container that gets device events as files, and
# neither netlink nor /dev.
#
# The container has one bind mount of eventfs. In it `mkdir /dev/events/$$` works as outside: a
# directory is named after the PID that the process has in the container. The name is the same
# outside, and the first process of each container is PID 1. So containers need labels:
# `mktemp -d /dev/events/$$.XXXXXX` chooses one. When the container ends, its processes do, and
# their directories with them.
#
# The same with docker or podman: docker run --rm -v /dev/events:/dev/events IMAGE COMMAND
# Publishing stays root's (publish has mode 0200), and the container's root is that only without a
# user namespace.
set -eu
: "${EVENTS:=/dev/events}"

if [ ! -e "$EVENTS/publish" ] || [ $# = 0 ]; then
  echo "usage: $0 COMMAND [ARGUMENT...], while eventfs is mounted on $EVENTS" >&2
  exit 1
fi

# A PID namespace, a network without the host's uevents, and mounts of its own.
# shellcheck disable=SC2016 # the inner shell expands them
exec unshare --mount --pid --fork --net --mount-proc sh -c '
  set -eu
  events=$1
  shift
  dev=$(mktemp -d)
  mount -t tmpfs -o mode=755 tmpfs "$dev"
  mkdir "$dev/events"
  mount --bind "$events" "$dev/events"
  for device in null zero full random urandom; do
    : >"$dev/$device"
    mount --bind "/dev/$device" "$dev/$device"
  done
  mount --move "$dev" /dev
  rmdir "$dev"
  exec "$@"
' sh "$EVENTS" "$@"
