#!/usr/bin/env python3
"""consume.py [FILTER]: events as dictionaries, from a directory that ends with this process.

It needs the standard library only.
"""
import os
import select
import sys

EVENTS = os.environ.get("EVENTS", "/dev/events")


def events(filter_text=""):
    """Yields one dictionary an event; the header line is under ''."""
    if not os.path.exists(f"{EVENTS}/publish"):  # mkdir would make a directory that stays
        sys.exit(f"{sys.argv[0]}: eventfs is not mounted on {EVENTS}")
    mine = f"{EVENTS}/{os.getpid()}"
    os.mkdir(mine)
    with open(f"{mine}/.filter", "w") as file:
        file.write(filter_text + "\n")
    stream = os.open(f"{mine}/.stream", os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    rest = b""
    while True:
        poll.poll()
        try:
            got = os.read(stream, 1 << 20)
        except BlockingIOError:
            continue  # another reader of ours was first
        if not got:
            return  # the daemon has ended
        *records, rest = (rest + got).split(b"\n\n")
        for record in records:
            header, *lines = record.decode(errors="surrogateescape").split("\n")
            yield {"": header, **dict(line.split("=", 1) for line in lines)}


if __name__ == "__main__":
    for event in events(" ".join(sys.argv[1:])):
        print(event["ACTION"], event.get("SUBSYSTEM", "-"), event[""].split("@", 1)[1], flush=True)
