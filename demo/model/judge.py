"""Say what is in a picture: a small classifier that never saw the generator, nor the generator it."""

from __future__ import annotations

from torch import Tensor, cat, nn


class Judge(nn.Module):
    """Answer for every label of the world whether it is there; its pooled features measure how real pictures look.

    forward: pictures [B, 3, 64, 64] in [-1, 1] -> logits [B, labels]; features: the same -> [B, 2 * width].
    """

    def __init__(self, labels: int, width: int = 80) -> None:
        super().__init__()
        widths = (24, 40, 64, width)
        layers: list[nn.Module] = []
        channels = 3
        for i, out_channels in enumerate(widths):
            stride = 2 if i < 3 else 1
            layers += [nn.Conv2d(channels, out_channels, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()]
            layers += [nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()]
            channels = out_channels
        self.body, self.head = nn.Sequential(*layers), nn.Linear(2 * width, labels)

    def features(self, pictures: Tensor) -> Tensor:
        h = self.body(pictures)
        return cat([h.mean((2, 3)), h.amax((2, 3))], dim=1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))
