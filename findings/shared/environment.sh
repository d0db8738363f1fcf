# For the scripts beside this folder: a temporary environment with what they pin, gone when they end.
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
PYTHONPATH="$here/shared"
export PYTHONPATH
cd "$folder"

install() {
    env/bin/pip install -q "$@"
}
