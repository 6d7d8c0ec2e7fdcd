#!/bin/bash
# start.sh BINARY [MODEL]: a short tour with the model that comes with the repository, or the given MODEL; then a chat where a
# person sits at the terminal.
set -euo pipefail

exaone=$1
model=${2:-}

show() {
  echo
  printf '$ exaone'
  for argument in "$@"; do
    case $argument in
      *[!A-Za-z0-9_./-]*) printf ' "%s"' "$argument" ;;
      *) printf ' %s' "$argument" ;;
    esac
  done
  echo
  "$exaone" "$@" </dev/null
}

if [ -n "$model" ]; then
  [ -t 0 ] || { show run -m "$model" -n 64 -p "What is the capital of Korea?"; exit; }
  exec "$exaone" chat -m "$model"
fi

cat <<TEXT

EXAONE-nano answers: a toy that this project trained, not a model of LG (models/README.md). The real ones:
make run MODEL=/path/to/a.gguf-or-Hugging-Face-folder
TEXT
# What is not a terminal gets the answer alone, unless it asks for JSON.
apart=()
[ -t 1 ] || apart=(--json)
examples=models/examples
show run -p "Hello!"
show run "${apart[@]}" -p "What is 347 + 285?"
show run --tools $examples/tools.json -p "How is the weather in Busan?"
show run --tools $examples/tools.json --messages $examples/weather.json
show run --image $examples/two_shapes.png -p "Describe the picture."
if [ -t 0 ] && [ -t 1 ]; then
  echo
  exec "$exaone" chat
fi
