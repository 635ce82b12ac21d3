#!/bin/sh
# The guard of a command that runs under a freeze: when the netfreeze that watches it is killed, it kills all that the
# command has started, so that no checkpoint goes on in a namespace that will thaw by itself. The kernel kills the command
# itself (its parent-death signal); what the command has started has no such signal.
#
# Its first argument is that netfreeze, for people who look at `ps`; its second, where it follows another guard, the command's
# session. Else descriptor 3 tells that, and then `over` when the command has ended; its end without that word is netfreeze's
# own end.
trap '' HUP INT TERM
session=${2-}
if [ -z "$session" ]; then read -r session <&3 || exit 0; fi
read -r word <&3
if [ "$word" = over ]; then exit 0; fi

# What is just being started is found by the next look.
found=yes
while [ "$found" ]; do
  found=
  for file in /proc/[0-9]*/stat; do
    read -r line 2>/dev/null <"$file" || continue
    # The name may hold anything: what follows its last parenthesis is state, parent, group, session (proc(5)).
    # shellcheck disable=SC2086
    set -- ${line##*) }
    if [ "$4" != "$session" ] || [ "$1" = Z ] || [ "$1" = X ]; then continue; fi
    pid=${file#/proc/}
    kill -KILL "${pid%/stat}" 2>/dev/null && found=yes
  done
done
