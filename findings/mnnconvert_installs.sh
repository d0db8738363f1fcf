#!/bin/sh
# A guess, set beside what had been seen: MNN's mnnconvert converts a file and touches nothing
# else.
# Seen: the module of MNN 3.6.1 runs 'pip install -U aliyun-log-python-sdk' when it is imported,
# into whatever pip is first on the path, and asks a server for credentials to report the
# conversion to. _tools.mnnconvert(argv) converts alone.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install numpy==2.4.6 onnx==1.23.2 MNN==3.6.1
mkdir "$folder/path"
printf "#!/bin/sh\necho \"\$@\" >> \"%s/asked\"\n" "$folder" > "$folder/path/pip"
chmod +x "$folder/path/pip"
PATH="$folder/path:$PATH"
export PATH
env/bin/python - <<'PYTHON'
import subprocess
import sys

from graphs import save_convolution

save_convolution()
words = ["-f", "ONNX", "--modelFile", "net.onnx", "--MNNModel", "net.mnn", "--bizCode", "x"]
program = [sys.executable, "-m", "MNN.tools.mnnconvert"]
subprocess.run([*program, *words], check=False, capture_output=True)
asked = open("asked").read()
print("pip", asked)
assert set(asked.splitlines()) == {"install -U aliyun-log-python-sdk"}
PYTHON
echo "mnnconvert_installs: as seen"
