"""Inspect what a camera sees.

pip install opencv-python-headless, then python camera.py part.onnx 0
"""

import sys

import cv2

import onlygood

inspect = onlygood.Inspector(sys.argv[1])
camera = cv2.VideoCapture(int(sys.argv[2]) if sys.argv[2].isdigit() else sys.argv[2])
while True:
    is_there, frame = camera.read()
    if not is_there:
        break
    found = inspect(frame[:, :, ::-1])  # OpenCV gives B, G, R; a model takes R, G, B
    print("ANOMALOUS" if found.is_anomaly else "good", f"{found.score:+.3f}", f"p = {found.p_value:.4f}", flush=True)
