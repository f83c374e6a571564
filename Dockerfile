# inception_jax for the CPU:   docker build -t inception-jax .
# For CUDA:                    docker build -t inception-jax --build-arg EXTRA=cuda . (run with --gpus all)
# Train in the current folder: docker run --rm --user "$(id -u)" -v "$PWD:/work" \
#                                inception-jax train --config quickstart --workdir run
FROM python:3.13-slim

# jemalloc makes a step on the CPU faster; the command line finds it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libjemalloc2 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
# An extra of pyproject.toml: `cuda`, `tpu`, or none for the CPU.
ARG EXTRA=""
# The ranges are in requirements.txt; hadolint takes the folder for a name.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".${EXTRA:+[$EXTRA]}" && rm -rf /src/*

# Not root. Any user may write into HOME: compiled programs are kept there.
ENV HOME=/tmp
USER 1000
WORKDIR /work
ENTRYPOINT ["inception-jax"]
CMD ["--help"]
