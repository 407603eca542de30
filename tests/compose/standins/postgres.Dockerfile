# PostgreSQL from Debian's packages, with as much of the official image's start as compose.yaml uses.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null \
 && rm -rf /var/lib/apt/lists/* && install -d -o postgres -m 1777 /var/lib/postgresql/data && install -d -o postgres -m 3777 /var/run/postgresql
RUN printf '%s\n' '#!/bin/sh' 'set -e' \
    'PATH=$(echo /usr/lib/postgresql/*/bin):$PATH' \
    'if [ ! -s "$PGDATA/PG_VERSION" ]; then' \
    '  initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" -A scram-sha-256 -E UTF8 --no-locale' \
    '  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"' \
    '  echo "CREATE DATABASE $POSTGRES_USER" | postgres --single -D "$PGDATA" postgres' \
    'fi' \
    'exec postgres -D "$PGDATA" -c "listen_addresses=*" -c unix_socket_directories=/var/run/postgresql' \
    >/entrypoint && chmod 755 /entrypoint
ENTRYPOINT ["/entrypoint"]
