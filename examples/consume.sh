#!/bin/sh
# consume.sh [FILTER]: print the device of each event, from a queue of our own that ends with us,
# however that comes.
#
# With inotify=1 the events are handled as files: nothing is taken off the queue before it has been
# worked on, so that `eventfs settle` waits for us. (inotifywait is in the package inotify-tools.)
set -eu
: "${EVENTS:=/dev/events}" "${inotify:=0}"

# Without a mount, mkdir would make a directory that stays
if [ ! -e "$EVENTS/publish" ]; then
  echo "$0: eventfs is not mounted on $EVENTS" >&2
  exit 1
fi

mine=$EVENTS/$$
mkdir "$mine" # its owner is this shell, $$; there is no trap that must remove it
printf '%s\n' "${1:-}" >"$mine/.filter"

handle() { # the text of one event is standard input
  IFS='@' read -r action devpath
  printf '%s %s\n' "$action" "$devpath"
}

if [ "$inotify" = 0 ]; then
  # An empty line ends each event.
  begun=
  while IFS= read -r line; do
    case $begun,$line in
      *,) begun= ;;
      ,*) begun=1; printf '%s\n' "$line" | handle ;;
    esac
  done <"$mine/.stream"
else
  # The events that are there come first, the oldest first. The wait has an end, because an event
  # may come between the two.
  while :; do
    while [ -e "$mine/head" ]; do
      handle <"$mine/head"
      rm -f "$mine/head"
    done
    inotifywait -qq -t 2 -e create "$mine" || :
  done
fi
