"""The page to look at a model with: its reference set on maps, in portraits, and to hear.

Python gathers what is to be seen, `page.jinja` holds its words, the .js files draw it with Plotly.
All in one file that opens offline. jinja2 and plotly, from the extra `report`, load lazily.
"""
