#!/usr/bin/env bash
# Compare nextframe with the peers named in requirements.txt; results go to results/.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if ! cmp -s bench/requirements.txt .venv-bench/.installed; then
    "$python" -m venv --clear .venv-bench
    .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --requirement bench/requirements.txt
    cp bench/requirements.txt .venv-bench/.installed
fi
.venv/bin/python bench/moving_digits.py
.venv/bin/python bench/peephole_lstm.py
.venv/bin/python bench/convlstm.py "$@"
.venv/bin/python bench/multiscale_gan.py
.venv/bin/python bench/onnx_speed.py
.venv/bin/nextframe benchmark speed --device cpu -o results/bench-speed
.venv/bin/python bench/processes_speed.py
media=../shared/data
if [ -d "$media" ]; then  # clips of real videos: only where they are
    .venv/bin/python bench/video_clips.py
    .venv/bin/python bench/loader.py "$media/videos"
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT
    .venv/bin/python -m zipfile -e "$media"/mspacman_dataset/*.zip "$unpacked"
    .venv/bin/python bench/prepared_clips.py "$unpacked"/*
fi
