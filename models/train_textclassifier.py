"""Trains the `textclassifier` model: 100 floats that stand for a text into negative and positive.

The class is the one of the usual "serve a model" tutorials: one linear layer and a softmax. Those tutorials
never say how a text becomes 100 floats, so the task here is made up: a text is 100 word weights, every
weight is noise of variance 1, and the two classes' means lie 4 apart along one random direction. A
classifier that knew the two means would be right in 97.7 % of the cases (the normal distribution's share
below 2), and nothing can do better.
"""

import numpy as np
import torch
from torch import nn

import artifacts

FEATURES = 100
MEANS_APART = 4.0
TRAIN_ROWS = 8000
TEST_ROWS = 2000
EPOCHS = 20
BATCH_ROWS = 64


class TextClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(FEATURES, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.linear(x), dim=1)


def make_texts(
    rows: int, direction: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Word weights float32 (rows, 100) and classes int64 (rows,): 0 negative, 1 positive, as often."""
    classes = random.integers(0, 2, rows)
    side = (classes * 2 - 1)[:, None] * MEANS_APART / 2
    inputs = side * direction + random.standard_normal((rows, FEATURES))
    return inputs.astype(np.float32), classes


def main() -> None:
    artifacts.make_reproducible(seed=0)
    random = np.random.default_rng(0)
    direction = random.standard_normal(FEATURES)
    direction /= np.linalg.norm(direction)
    train_x, train_y = make_texts(TRAIN_ROWS, direction, random)
    test_x, test_y = make_texts(TEST_ROWS, direction, random)
    model = TextClassifier()
    train(model, torch.from_numpy(train_x), torch.from_numpy(train_y))

    print(f"train {artifacts.accuracy(model, train_x, train_y):.4f} of {TRAIN_ROWS} texts")
    print(f"held out {artifacts.accuracy(model, test_x, test_y):.4f} of {TEST_ROWS} texts")
    artifacts.save_version("textclassifier", model)
    labels, layers = ["negative", "positive"], [model.linear]
    artifacts.save_samples("textclassifier", "text", "texts", test_x[:16], test_y[:16], labels, layers)


def train(model: TextClassifier, inputs: torch.Tensor, classes: torch.Tensor) -> None:
    """Adam on the cross entropy of the raw scores, which is steadier than on the softmax's output."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_function = nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(BATCH_ROWS):
            optimizer.zero_grad()
            loss_function(model.linear(inputs[rows]), classes[rows]).backward()
            optimizer.step()


if __name__ == "__main__":
    main()
