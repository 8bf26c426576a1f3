"""A small convolutional classifier, whose last hidden layer is the feature space of the measures.

3x3 convolutions with batch norm and max pooling, in the manner of VGG (K. Simonyan, A. Zisserman, "Very Deep
Convolutional Networks for Large-Scale Image Recognition", 2015, https://arxiv.org/abs/1409.1556) but much narrower.
"""

from collections.abc import Sequence

from torch import Tensor, nn

LARGE = 48  # side in pixels from which the first convolution has stride 2


class Classifier(nn.Module):
    """A net from images to features and logits. At 28x28: 28 - 14 - 7 - 3 pixels, width - 2 width - 4 width channels.

    Args:
        shape: (C, H, W) of an image.
        classes: number of logits.
        width: channels of the first convolution; they double at each level, up to 4 width.
        features: length D of the last hidden layer.
    """

    def __init__(self, shape: Sequence[int], classes: int, width: int = 16, features: int = 128) -> None:
        super().__init__()
        stride = 2 if min(shape[1:]) >= LARGE else 1
        height, breadth = (-(-side // stride) for side in shape[1:])
        layers = _block(shape[0], width, stride)
        channels = width
        while min(height, breadth) > 4:
            layers.append(nn.MaxPool2d(2))
            height, breadth = height // 2, breadth // 2
            wider = min(2 * channels, 4 * width)
            layers += _block(channels, wider)
            if channels == width:  # a second block at the level that shows strokes and seams
                layers += _block(wider, wider)
            channels = wider
        self.trunk = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(channels * height * breadth, features, bias=False),
            nn.BatchNorm1d(features),
            nn.ReLU(),
        )
        self.head = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, C, H, W) in [0, 1] to non-negative features (B, D) and logits (B, classes)."""
        features = self.trunk(x)
        return features, self.head(features)


def _block(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
