#!/bin/sh
# pg_dump and pg_restore, by whose name it is called, with the libraries they were taken with.
LD_LIBRARY_PATH=/opt/postgresql/lib exec "/opt/postgresql/bin/$(basename "$0")" "$@"
