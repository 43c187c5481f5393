"""What an image may be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageLimits:
    pixels: int
    side: int
    """Pixels of the longer side of what is kept."""
    frames: int
    stored_bytes: int
