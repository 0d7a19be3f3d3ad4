# syntax=docker/dockerfile:1
# One image per process of compose.yaml; they share all layers but the last.
#   docker compose build                                     PyTorch for the CPU
#   docker compose build --build-arg TORCH_BACKEND=cu130     PyTorch for a GPU
#   docker compose build --build-arg EXTRAS=connectors       drivers for buckets, shares, readers

FROM python:3.11.16-slim-bookworm AS base
ARG TORCH_BACKEND=cpu
ARG EXTRAS=
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/app \
    HOME=/tmp \
    HF_HUB_OFFLINE=1 \
    TRANSFORMERS_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    DO_NOT_TRACK=1 \
    SCARF_NO_ANALYTICS=1 \
    STREAMLIT_BROWSER_GATHER_USAGE_STATS=false
RUN groupadd --gid 10001 footnote \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin footnote \
    && install -d -o 10001 -g 10001 -m 0700 /data /keys \
    && install -d -o 10001 -g 10001 -m 0750 /run/parser
WORKDIR /app

# Libraries first: this layer stays while only our code changes. Compiled here, since nothing may
# be written at run time. UV_LINK_MODE=copy: nltk refuses files that are linked twice.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --no-cache-dir 'uv<1' \
    && UV_LINK_MODE=copy uv pip install --system --no-cache --compile-bytecode \
        --torch-backend="$TORCH_BACKEND" --constraint constraints.txt ${EXTRAS:+--extra "$EXTRAS"} \
        --requirements pyproject.toml

COPY knowledge knowledge
COPY ingest ingest
COPY retrieval retrieval
COPY serving serving
COPY ui ui
COPY footnote footnote
COPY scripts/health.py scripts/health.py
COPY .streamlit .streamlit
RUN uv pip install --system --no-cache --no-deps --editable . \
    && python -m compileall -q knowledge ingest retrieval serving ui footnote scripts \
    && chmod -R a+rX /app
USER 10001:10001

# The pinned vLLM with our plugin beside it, and nothing else of ours:
#   docker build --target vllm -t footnote-vllm:0.1.0 .      then FOOTNOTE_VLLM_IMAGE in .env
FROM vllm/vllm-openai:v0.33.0 AS vllm
COPY serving/__init__.py /opt/footnote/serving/__init__.py
COPY serving/moe /opt/footnote/serving/moe
COPY scripts/moe_plugin.py /opt/footnote/scripts/moe_plugin.py
RUN python3 /opt/footnote/scripts/moe_plugin.py \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && install -d -o 10001 -g 10001 -m 0750 /tables

FROM base AS api
EXPOSE 8765
CMD ["footnote", "serve"]

FROM base AS worker
CMD ["footnote", "worker"]

FROM base AS parser
ARG OCR_PACKAGES="tesseract-ocr"
USER 0:0
RUN apt-get update \
    && apt-get install -y --no-install-recommends $OCR_PACKAGES \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
CMD ["footnote", "parser"]

FROM base AS ui
EXPOSE 8501
CMD ["streamlit", "run", "ui/app.py"]
