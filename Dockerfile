# The studio in a container: gateway, worker and browser studio in one image.
#   docker build -t atelier .                      CPU (PyTorch's public CPU wheels)
#   docker build -t atelier --build-arg TORCH_INDEX= .   GPU (PyPI's default CUDA wheels)
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN apt-get update \
 && apt-get install -y --no-install-recommends ffmpeg \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/atelier
COPY constraints.txt ./
# The large, rarely changing part first, so that a code change does not download it again.
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
    -c constraints.txt torch

COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY generators generators
COPY trainer trainer
COPY migrations migrations
RUN pip install --no-cache-dir -c constraints.txt ".[all]"

RUN useradd --create-home --uid 1000 atelier && install -d -o atelier /data
USER atelier
WORKDIR /data
ENV ATELIER_DATA_DIR=/data ATELIER_WEB_BIND=0.0.0.0:8080 ATELIER_LOG_FORMAT=json
EXPOSE 8080
VOLUME /data
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD \
  python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/readyz', timeout=4)"
STOPSIGNAL SIGTERM
CMD ["atelier", "up"]
