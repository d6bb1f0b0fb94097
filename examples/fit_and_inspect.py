"""Learn from a folder of good images and inspect another one: `python fit_and_inspect.py parts/good incoming`."""

import sys

import onlygood

model = onlygood.fit(sys.argv[1], false_alarm_rate=0.05)
for sentence in (*model.notes, *model.guarantee.sentences):
    print(sentence)
model.save("part.onnx")

for found in onlygood.Inspector(model).map(sys.argv[2]):
    if isinstance(found, onlygood.ImageError):
        print(f"{found.name}: {found}")
    else:
        print(f"{found.name}: {'ANOMALOUS' if found.is_anomaly else 'good'}, score {found.score:+.3f}")
