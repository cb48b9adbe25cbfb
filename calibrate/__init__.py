"""How it comes to be known: reference recordings in, a Detector out.

The only room that imports scikit-learn and pacmap; it knows nothing of `monitor`.
"""
