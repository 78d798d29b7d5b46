#!/bin/sh
# publish.sh ACTION DEVPATH [KEY=VALUE ...]: publish an event from a shell script, without starting
# a process.
#
# Each write(2) to `publish` is one event. dash and busybox ash write what printf prints at once;
# bash writes it line by line, so that each line would be an event of its own. So the parts have
# NULs between them, as in the kernel's own messages, and a line end in a value is written \x0a, as
# eventfs shows it. A shell writes at most 1 KiB at once for sure: larger events are for
# eventfs-emit.
set -eu
: "${EVENTS:=/dev/events}"

publish() (
  action=$1 devpath=$2
  shift 2
  newline='
'
  format='%s@%s\0ACTION=%s\0DEVPATH=%s\0'
  for property do
    while case $property in *"$newline"*) ;; *) false ;; esac; do
      property=${property%%"$newline"*}\\x0a${property#*"$newline"}
    done
    set -- "$@" "$property"
    shift
    format="$format%s\\0"
  done
  # shellcheck disable=SC2059 # the format is ours; what is published are its arguments
  printf "$format" "$action" "$devpath" "$action" "$devpath" "$@" >"$EVENTS/publish"
)

fail() {
  printf '%s: %s\n' "$0" "$1" >&2
  exit 1
}
[ $# -ge 2 ] || fail 'usage: ACTION DEVPATH [KEY=VALUE ...]'
# Without a mount the redirection would make a plain file
[ -e "$EVENTS/publish" ] || fail "eventfs is not mounted on $EVENTS"
publish "$@"
