"""Networks that the lectures count, described layer by layer; built inside `nn.shapes_only`.

Where papers and slides differ, these have the layers whose sums the lectures print.
"""

import striate
from striate import nn


def lenet5():
    """32x32 -> 6@28 -> 6@14 -> 16@10 -> 16@5 (400) -> 120 -> 84 -> 10."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


def alexnet(without=()):
    """Convolutions 1-5, dense layers 6-8; 2, 4 and 5 in two groups. `without` leaves layers out."""
    convolutions = {  # output channels, kernel, stride, padding, groups
        1: (96, 11, 4, 0, 1),
        2: (256, 5, 1, 2, 2),
        3: (384, 3, 1, 1, 1),
        4: (384, 3, 1, 1, 2),
        5: (256, 3, 1, 1, 2),
    }
    layers, channels = [], 3
    for number, (out, kernel, stride, padding, groups) in convolutions.items():
        if number not in without:
            layers += [nn.Conv2d(channels, out, kernel, stride, padding, groups=groups), nn.ReLU()]
            channels = out
        if number in (1, 2, 5):
            layers.append(nn.MaxPool2d(3, 2))
    layers.append(nn.Flatten())
    features = 256 * 6 * 6
    for number, out in ((6, 4096), (7, 4096), (8, 1000)):
        if number not in without:
            dropout = [nn.Dropout(0.5)] if number < 8 else []
            layers += [*dropout, nn.Linear(features, out), nn.ReLU()]
            features = out
    return nn.Sequential(*layers[:-1])


def vgg16():
    layers, channels = [], 3
    for out, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
            channels = out
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Linear(4096, 4096)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(4096, 1000))


class Branches(nn.Module):
    """Branches of one input, their channels side by side."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, input):
        return striate.concatenate([branch(input) for branch in self.branches], 1)


def naive_inception():
    """Lecture 002's on 256 channels."""
    return Branches(
        nn.Conv2d(256, 128, 1),
        nn.Conv2d(256, 192, 3, padding=1),
        nn.Conv2d(256, 96, 5, padding=2),
        nn.MaxPool2d(3, 1, 1),
    )


def inception(channels, one, three_before, three, five_before, five, pool):
    """The module with 1x1 bottlenecks before the large kernels and behind the pool."""
    return Branches(
        nn.Sequential(nn.Conv2d(channels, one, 1), nn.ReLU()),
        nn.Sequential(
            nn.Conv2d(channels, three_before, 1),
            nn.ReLU(),
            nn.Conv2d(three_before, three, 3, padding=1),
            nn.ReLU(),
        ),
        nn.Sequential(
            nn.Conv2d(channels, five_before, 1),
            nn.ReLU(),
            nn.Conv2d(five_before, five, 5, padding=2),
            nn.ReLU(),
        ),
        nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(channels, pool, 1), nn.ReLU()),
    )


def googlenet():
    """Without the auxiliary heads of its training."""

    def halve():
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3),
        nn.ReLU(),
        halve(),
        nn.LocalResponseNorm(5),
        nn.Conv2d(64, 64, 1),
        nn.ReLU(),
        nn.Conv2d(64, 192, 3, padding=1),
        nn.ReLU(),
        nn.LocalResponseNorm(5),
        halve(),
        inception(192, 64, 96, 128, 16, 32, 32),
        inception(256, 128, 128, 192, 32, 96, 64),
        halve(),
        inception(480, 192, 96, 208, 16, 48, 64),
        inception(512, 160, 112, 224, 24, 64, 64),
        inception(512, 128, 128, 256, 24, 64, 64),
        inception(512, 112, 144, 288, 32, 64, 64),
        inception(528, 256, 160, 320, 32, 128, 128),
        halve(),
        inception(832, 256, 160, 320, 32, 128, 128),
        inception(832, 384, 192, 384, 48, 128, 128),
        nn.GlobalAvgPool(),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(1024, 1000),
    )


class Residual(nn.Module):
    """x + branch(x), where the channels differ through a 1x1 convolution."""

    def __init__(self, branch, shortcut):
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, input):
        return striate.relu(self.branch(input) + self.shortcut(input))


def resnet50(bias):
    """`bias`: of the convolutions. Keras's have one, torchvision's none; batch norm has its own."""

    def block(channels, width, stride):
        branch = nn.Sequential(
            nn.Conv2d(channels, width, 1, stride, bias=bias),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=bias),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 4 * width, 1, bias=bias),
            nn.BatchNorm2d(4 * width),
        )
        if channels == 4 * width:
            return Residual(branch, nn.Identity())
        shortcut = nn.Conv2d(channels, 4 * width, 1, stride, bias=bias)
        return Residual(branch, nn.Sequential(shortcut, nn.BatchNorm2d(4 * width)))

    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=bias), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    channels = 64
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for number in range(blocks):
            layers.append(block(channels, width, stride if number == 0 else 1))
            channels = 4 * width
    return nn.Sequential(*layers, nn.GlobalAvgPool(), nn.Flatten(), nn.Linear(2048, 1000))


def dogs_against_cats():
    """150x150; the sizes that the slide prints are those of three 2x2 pools, then a 3x3 one."""
    layers, channels = [], 3
    for widths, pool in (
        ((32, 64), nn.MaxPool2d(2)),
        ((128, 128), nn.MaxPool2d(2)),
        ((256, 512), nn.MaxPool2d(2)),
        ((512, 512), nn.MaxPool2d(3, 2)),
    ):
        for out in widths:
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
            channels = out
        layers.append(pool)
    layers += [nn.Flatten(), nn.Dropout(), nn.Linear(512 * 8 * 8, 512), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(512, 1), nn.Sigmoid())
