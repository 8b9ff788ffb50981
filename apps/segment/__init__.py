"""Semantic segmentation: a class for each pixel, from a raw image to a class map in one file.

`--model` chooses U-Net (Ronneberger et al. 2015), SegNet (Badrinarayanan et al. 2017) or DeepLab V3+ (Chen et al.
2018). Whole scenes are resized to the network's size; microscopy and maps go through it as overlapping tiles
(`--fit-image`). Settings and verbs are in `app.py`, the graph in `model.py`, README.md shows the use.
"""
