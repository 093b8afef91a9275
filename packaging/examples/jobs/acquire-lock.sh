#!/bin/sh
# acquire-lock.sh NAME: takes the lock of this host, or fails if another task has it.
# The lock is a symbolic link that points to its holder's sandbox: it is made in one step.
exec ln -sn "$MESOS_SANDBOX" "/tmp/$1.lock"
