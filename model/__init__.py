"""What is known: turns a segment of sound into a Score.

This room needs numpy, soxr, soundfile and safetensors only, and knows nothing of the two others.

>>> from model.storage import read_model
>>> from model.segmenter import cut_recording
>>> from model.audio import read_recording
>>> detector = read_model("six.offkey")
>>> recording = read_recording("six.wav", detector.front_end.rate_hz)
>>> [detector.score(segment) for segment in cut_recording(recording, detector.segmentation)]
"""
