# iqassay serve in a container: one process, its models inside, no network needed while it runs.
#
#   docker build -t iqassay .
#   docker run --rm -p 127.0.0.1:8000:8000 -e IQASSAY_TOKEN=secret --read-only --tmpfs /tmp iqassay
#
# EXTRAS: what else is installed, such as "serve,heif,bench". benchmarks/checks/container.py replays these steps.
FROM python:3.12-slim AS build
ARG EXTRAS=serve,heif
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m venv /opt/iqassay \
    && /opt/iqassay/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin iqassay
COPY --from=build /opt/iqassay /opt/iqassay
ENV PATH=/opt/iqassay/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
# What is sent is spooled to /tmp while it waits: give a container that may not write a tmpfs there.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["iqassay", "serve", "--host", "0.0.0.0", "--port", "8000"]
