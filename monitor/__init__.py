"""Where it is used: sources, the live stream, the archive, the sinks, the screen.

The only room that imports sounddevice and textual; it knows nothing of `calibrate`.
"""
