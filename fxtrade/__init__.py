"""fxtrade: deep learning on crypto markets, from raw bars to an honest answer."""

__version__ = "0.1.0"
