#!/bin/sh
# What every container of ours begins with. In production nothing starts on unsafe settings.
set -eu
# Every role has the same user id: what one writes, no other account of the machine reads.
umask 0077
if [ "${EQUIPOISE_PROFILE:-default}" = prod ]; then
    python -m dags.production "$@"
fi
exec "$@"
