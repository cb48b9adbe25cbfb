"""The Textual app: what a stream hears, on screen. The only package that imports textual.

`app.MonitorApp` is the app and `run.run_app` runs it; the widgets are header, panels, profile and
table; words.py and drawing.py turn numbers into text and cells.
"""
