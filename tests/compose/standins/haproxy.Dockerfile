# HAProxy from Debian's packages.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy wget >/dev/null \
 && rm -rf /var/lib/apt/lists/*
