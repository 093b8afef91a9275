#!/bin/sh
# release-lock.sh NAME: gives the lock back, if it is ours. After commands also run when the task is
# killed while it tries to get the lock, so this must not take it from somebody else.
if [ "$(readlink "/tmp/$1.lock")" = "$MESOS_SANDBOX" ]; then
    exec rm "/tmp/$1.lock"
fi
