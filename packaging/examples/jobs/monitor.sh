#!/bin/sh
# monitor.sh FILE: prints what is written to FILE until it is stopped.
touch "$1"
exec tail -n +1 -f "$1"
