#!/bin/bash
# start.sh BINARY MODEL: a chat where a person sits at the terminal, else one canned question and its answer.
set -euo pipefail

binary=$1
model=$2
case $model in
  tests/data/models/*)
    cat >&2 <<TEXT

$model is a tiny checkpoint with random weights: the machinery is real, the answer is noise.
To talk to a real model: make run MODEL=/path/to/a.gguf-or-Hugging-Face-folder
TEXT
    ;;
esac

if [ -t 0 ]; then
  exec "$binary" chat -m "$model"
fi
question="What is the capital of Korea?"
echo "> $question" >&2
exec "$binary" run -m "$model" -p "$question" -n 64 </dev/null
