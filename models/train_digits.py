"""Trains the `digits` model: an 8x8 grey image of a handwritten digit into ten classes.

Data: scikit-learn's copy of the UCI test set "Optical Recognition of Handwritten Digits", 1797 images.
Input: 64 floats, row by row, the pixel's ink 0...16 divided by 16. One fifth of the images, each digit in
proportion, is held out: never trained on and looked at once, at the end.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import artifacts

EPOCHS = 60
BATCH_ROWS = 32


def main() -> None:
    artifacts.make_reproducible(seed=0)
    data = load_digits()
    images = (data.data / 16).astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        images, data.target, test_size=0.2, random_state=0, stratify=data.target
    )
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    train(model, torch.from_numpy(train_x), torch.from_numpy(train_y))

    print(f"train {artifacts.accuracy(model, train_x, train_y):.4f} of {len(train_y)} images")
    print(f"held out {artifacts.accuracy(model, test_x, test_y):.4f} of {len(test_y)} images")
    artifacts.save_version("digits", model)
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    labels = [str(digit) for digit in range(10)]
    artifacts.save_samples("digits", "digit", "digits", test_x[:16], test_y[:16], labels, layers)


def train(model: nn.Module, inputs: torch.Tensor, classes: torch.Tensor) -> None:
    """Adam on the cross entropy of the raw scores; the softmax belongs to serving."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
    loss_function = nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(BATCH_ROWS):
            optimizer.zero_grad()
            loss_function(model(inputs[rows]), classes[rows]).backward()
            optimizer.step()


if __name__ == "__main__":
    main()
