#!/usr/bin/env bash
# Makes an environment with Label Studio and its SDK in the folder $1, for the slow test of test_label_studio.py:
#   bash tests/seke/review/make_label_studio.sh /somewhere/label-studio
#   SEKE_LABEL_STUDIO=/somewhere/label-studio/bin/python pytest -m slow tests/seke/review/test_label_studio.py
set -euo pipefail
python3 -m venv "$1"
"$1/bin/pip" install --quiet label-studio==1.23.2 label-studio-sdk==2.1.2
