"""Two tasks, one network: what shape is it, and where are the four corners of its box?

The loss is the sum of the class loss and the L2 loss of 8 coordinates, as in lectures 000 and 004.

    python examples/bounding_boxes.py
"""

import numpy as np
from striate import nn, optim
from striate.autograd import no_grad
from striate.data import ArrayDataset, DataLoader
from striate.training import fit

SHAPES, SIZE = ("square", "disc", "triangle"), 32


def pictures(n, rng):
    """Images (N, 1, 32, 32), classes, and corners (N, 8): x and y of four, as parts of the size."""
    kind = rng.integers(0, 3, n)
    half = rng.uniform(4, 9, n)
    centre = rng.uniform(half, SIZE - 1 - half, (2, n))
    y, x = np.mgrid[:SIZE, :SIZE]
    v = (y - centre[0][:, None, None]) / half[:, None, None]
    u = (x - centre[1][:, None, None]) / half[:, None, None]
    inside = np.maximum(np.abs(u), np.abs(v)) <= 1
    inside &= np.where(kind[:, None, None] == 1, u**2 + v**2 <= 1, True)
    inside &= np.where(kind[:, None, None] == 2, np.abs(u) <= (v + 1) / 2, True)
    images = inside + rng.normal(0, 0.2, inside.shape)
    low, high = (centre - half) / SIZE, (centre + half) / SIZE
    corners = np.stack([low[1], low[0], high[1], low[0], high[1], high[0], low[1], high[0]], 1)
    return images[:, None].astype(np.float32), kind, corners.astype(np.float32)


class Detector(nn.Module):
    """A shared body and two heads."""

    def __init__(self, rng):
        super().__init__()
        layers, channels = [], 1
        for width in (8, 16, 32):
            layers += [nn.Conv2d(channels, width, 3, padding=1, rng=rng), nn.BatchNorm2d(width)]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            channels = width
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 16, 64, rng=rng), nn.ReLU())
        self.shape = nn.Linear(64, len(SHAPES), rng=rng)
        self.box = nn.Linear(64, 8, rng=rng)

    def forward(self, x):
        features = self.body(x)
        return {"shape": self.shape(features), "box": self.box(features)}


def overlap(one, other):
    """Intersection over union of boxes given by corners (N, 8)."""
    low = np.maximum(one[:, :2], other[:, :2])
    high = np.minimum(one[:, 4:6], other[:, 4:6])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = [np.prod(box[:, 4:6] - box[:, :2], axis=1) for box in (one, other)]
    return shared / (areas[0] + areas[1] - shared)


def main():
    rng = np.random.default_rng(0)
    model = Detector(rng)
    train = DataLoader(ArrayDataset(*pictures(3000, rng)), 50, shuffle=True, rng=1)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    schedule = optim.OneCycleLR(optimizer, 3e-3, total_steps=12 * len(train))
    both = nn.MultiTaskLoss({"shape": nn.CrossEntropyLoss(), "box": nn.MSELoss()}, {"box": 20})
    fit(
        model,
        train,
        epochs=12,
        optimizer=optimizer,
        schedule=schedule,
        loss=lambda outputs, kind, corners: both(outputs, {"shape": kind, "box": corners}),
        count=lambda outputs, kind, corners: (outputs["shape"].numpy().argmax(1) == kind).sum(),
    )
    images, kind, corners = pictures(500, rng)
    with no_grad():
        outputs = model.eval()(images)
    scores, boxes = (outputs[name].numpy() for name in ("shape", "box"))
    print(f"test accuracy of the shape {np.mean(scores.argmax(1) == kind):.3f}")
    print(f"mean overlap of the boxes {overlap(boxes, corners).mean():.3f}")


if __name__ == "__main__":
    main()
