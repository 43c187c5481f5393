# One image for gateway and worker: `python -m gateway` (the default) and `python -m workers`.

FROM python:3.13-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src

# The dependencies first, with empty packages in the project's place: this layer lasts until one of these files changes.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir gateway workers \
    && touch gateway/__init__.py workers/__init__.py \
    && pip install --constraint constraints.txt '.[traces]' \
    && rm -r build gateway workers

COPY gateway gateway
COPY workers workers
RUN pip install --no-deps --force-reinstall .


FROM python:3.13-slim

RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid gateway --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gateway
COPY --from=build /opt/venv /opt/venv

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=5000 \
    METRICS_HOST=0.0.0.0 \
    LOG_FORMAT=json
USER 10001:10001
EXPOSE 5000
STOPSIGNAL SIGTERM

# http.client, as urllib would ask the proxy that a container may have in its environment.
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 CMD ["python", "-c", "\
import http.client, os, sys\n\
call = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=2)\n\
call.request('GET', '/readyz')\n\
sys.exit(call.getresponse().status != 200)"]

CMD ["python", "-m", "gateway"]
