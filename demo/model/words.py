"""List the words that the demo models know; anything else becomes "unknown". Order is for ever: a word's number is its row in the weights."""

from __future__ import annotations

WORDS = (
    "a", "an", "the", "with", "and", "on", "in", "style", "big", "small",
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "brown", "grey",
    "grass", "sand", "snow", "road", "wooden", "floor", "sea",
    "house", "car", "face", "tree", "boat", "castle", "fish", "cat", "flower", "rocket", "snowman", "cake", "robot", "balloon", "cup", "umbrella",
    "roof", "door", "chimney", "smoke", "wheel", "suitcase", "glasses", "hat", "apple", "sail", "flag", "gate", "bubble", "bow", "leaves", "bee",
    "flame", "moon", "scarf", "carrot", "candle", "antenna", "button", "basket", "cloud", "bird", "steam", "sun", "rain",
    "outline", "sepia", "night", "hatched",
)  # fmt: skip
