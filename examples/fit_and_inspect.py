"""Learn from a folder of good images and inspect another one: `python fit_and_inspect.py parts/good incoming`."""

import sys
from pathlib import Path

import onlygood

model = onlygood.fit(sys.argv[1], false_alarm_rate=0.05)
for sentence in (*model.notes, *model.guarantee.sentences):
    print(sentence)
model.save("part.onnx")

inspect = onlygood.Inspector("part.onnx")
for path in sorted(Path(sys.argv[2]).iterdir()):
    found = inspect(path)
    print(f"{path.name}: {'ANOMALOUS' if found.is_anomaly else 'good'}, score {found.score:+.3f}")
