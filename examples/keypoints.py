"""Pose as heat maps: a small U-shaped net marks head, hands and feet of stick figures.

python examples/keypoints.py
"""

import numpy as np
from striate import mse_loss, nn, optim
from striate.autograd import concatenate, no_grad
from striate.data import ArrayDataset, DataLoader
from striate.training import fit

JOINTS, SIZE, SPREAD = ("head", "left hand", "right hand", "left foot", "right foot"), 32, 1.5


def poses(n, rng):
    """Joints (N, 5, 2) as row and column, and (N, 6, 2, 2) the ends of trunk, neck and limbs."""
    hip = SIZE / 2 + rng.uniform(-3, 3, (n, 2))
    lean = rng.normal(0, 0.3, n)
    neck = hip + 9 * np.stack([-np.cos(lean), np.sin(lean)], 1)
    head = neck + 3 * np.stack([-np.cos(lean), np.sin(lean)], 1)

    def limb(start, low, high, side):
        angle = rng.uniform(low, high, n)  # from straight down
        return start + 8 * np.stack([np.cos(angle), side * np.sin(angle)], 1)

    hands = [limb(neck, 0.4, 2.6, side) for side in (-1, 1)]
    feet = [limb(hip, 0.1, 1.2, side) for side in (-1, 1)]
    bones = [(hip, neck), (neck, head), *((neck, h) for h in hands), *((hip, f) for f in feet)]
    return np.stack([head, *hands, *feet], 1), np.stack([np.stack(b, 1) for b in bones], 1)


def pictures(n, rng):
    """Images (N, 1, 32, 32), heat maps (N, 5, 32, 32) and joints (N, 5, 2)."""
    joints, bones = poses(n, rng)
    grid = np.stack(np.mgrid[:SIZE, :SIZE], -1)[None, None]
    start, along = bones[:, :, 0, None, None], (bones[:, :, 1] - bones[:, :, 0])[:, :, None, None]
    part = np.sum((grid - start) * along, -1) / np.sum(along**2, -1)
    nearest = start + np.clip(part, 0, 1)[..., None] * along
    distance = np.sqrt(np.sum((grid - nearest) ** 2, -1)).min(1)
    images = np.clip(1.5 - distance, 0, 1) + rng.normal(0, 0.1, distance.shape)
    away = np.sum((grid - joints[:, :, None, None]) ** 2, -1)
    maps = np.exp(-away / (2 * SPREAD**2))
    return images[:, None].astype(np.float32), maps.astype(np.float32), joints


class Marker(nn.Module):
    """Down twice for the whole figure, up again for the places, with shortcuts across."""

    def __init__(self, rng):
        super().__init__()

        def block(a, b):
            conv = nn.Conv2d(a, b, 3, padding=1, rng=rng)
            return nn.Sequential(conv, nn.BatchNorm2d(b), nn.ReLU())

        self.fine, self.middle, self.coarse = block(1, 8), block(8, 16), block(16, 32)
        self.again, self.last = block(32 + 16, 16), block(16 + 8, 16)
        self.marks = nn.Conv2d(16, len(JOINTS), 1, rng=rng)
        self.down, self.up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)

    def forward(self, x):
        fine = self.fine(x)
        middle = self.middle(self.down(fine))
        coarse = self.coarse(self.down(middle))
        y = self.again(concatenate([self.up(coarse), middle], 1))
        return self.marks(self.last(concatenate([self.up(y), fine], 1)))


def main():
    rng = np.random.default_rng(0)
    model = Marker(rng)
    images, maps, _ = pictures(1200, rng)
    train = DataLoader(ArrayDataset(images, maps), 24, shuffle=True, rng=1)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    schedule = optim.OneCycleLR(optimizer, 5e-3, total_steps=6 * len(train))
    fit(model, train, epochs=6, optimizer=optimizer, schedule=schedule, loss=mse_loss, count=None)
    images, _, joints = pictures(200, rng)
    with no_grad():
        found = model.eval()(images).numpy().reshape(200, len(JOINTS), -1).argmax(-1)
    places = np.stack([found // SIZE, found % SIZE], -1)
    error = np.sqrt(np.sum((places - joints) ** 2, -1))
    print(f"median error {np.median(error):.2f} pixels of {SIZE}")
    print(f"within 2 pixels: {np.mean(error < 2):.3f}")
    for name, column in zip(JOINTS, error.T, strict=True):
        print(f"  {name:10} {np.mean(column < 2):.0%}")


if __name__ == "__main__":
    main()
