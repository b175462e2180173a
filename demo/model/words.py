"""List the words that the demo models know; anything else becomes "unknown". Order is for ever: a word's number is its row in the weights."""

from __future__ import annotations

COMMON = (
    "a", "an", "the", "with", "and", "on", "in", "style", "big", "small",
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "brown", "grey",
    "grass", "sand", "snow", "road", "wooden", "floor", "sea",
)  # fmt: skip
STYLES = ("outline", "sepia", "night", "hatched")
WORDS = (
    *COMMON,
    "house", "car", "face", "tree", "boat", "castle", "fish", "cat", "flower", "rocket", "snowman", "cake", "robot", "balloon", "cup", "umbrella",
    "roof", "door", "chimney", "smoke", "wheel", "suitcase", "glasses", "hat", "apple", "sail", "flag", "gate", "bubble", "bow", "leaves", "bee",
    "flame", "moon", "scarf", "carrot", "candle", "antenna", "button", "basket", "cloud", "bird", "steam", "sun", "rain",
    *STYLES,
)  # fmt: skip
# Of the second world, whose models have rows of their own.
OTHER_WORDS = (
    *COMMON,
    "lighthouse", "bicycle", "dog", "clock", "guitar", "mushroom", "train", "penguin", "windmill", "turtle", "pineapple", "teapot", "ghost", "crab",
    "king", "plane",
    "lantern", "stripe", "tyre", "bell", "collar", "bone", "hand", "pendulum", "string", "dot", "snail", "funnel", "rail", "beak", "ski", "blade",
    "pond", "weed", "crown", "beard", "lid", "chain", "claw", "tuft", "propeller", "banner", "butterfly", "rainbow", "star", "palm", "bowl",
    *STYLES,
)  # fmt: skip
