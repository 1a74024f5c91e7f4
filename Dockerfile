# docker build -t nextframe .                                     the CPU build of torch
# docker build -t nextframe:cuda --build-arg TORCH=cu130 .        a CUDA build, for docker run --gpus all
# docker run --rm -v "$PWD:/data" nextframe predict cat.mp4 -n 10 -o next.gif
# docker run --rm -p 7860:7860 nextframe app --host 0.0.0.0 --no-browser

ARG PYTHON=3.12

# The wheel, built from what the repository tracks.
FROM python:${PYTHON}-slim AS wheel
COPY . /source
WORKDIR /source
RUN pip install --no-cache-dir --constraint requirements.lock hatchling \
    && python -m hatchling build -t wheel -d /dist

# torch brings CUDA's libraries with it: both builds begin from the same image.
FROM python:${PYTHON}-slim
ARG TORCH=cpu
COPY requirements.lock /tmp/
RUN --mount=from=wheel,source=/dist,target=/dist \
    pip install --no-cache-dir uv \
    && uv pip install --system --no-cache --torch-backend=${TORCH} --constraint /tmp/requirements.lock \
        "nextframe[web] @ file://$(ls /dist/*.whl)" \
    && pip uninstall --yes uv
RUN useradd --create-home --uid 1000 frames
USER frames
WORKDIR /data
EXPOSE 7860
ENTRYPOINT ["nextframe"]
CMD ["--help"]
