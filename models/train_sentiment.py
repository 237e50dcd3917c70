"""Trains the `sentiment` model: a short review, a text, into negative and positive.

A text becomes 1,024 numbers by scikit-learn's HashingVectorizer (words and pairs of words, L2 norm), which
is what `features` in the model's model.yaml says and Apus does by itself. The reviews are made up here: each
fills a template with a subject and a verdict. "not" turns a verdict around, so that pairs of words count, and
one class in twenty-five is told wrong, as in reviews that people write.
"""

import json

import numpy as np
import torch
from sklearn.feature_extraction.text import HashingVectorizer
from torch import nn

import artifacts

FEATURES = 1024
TRAIN_ROWS = 6000
TEST_ROWS = 2000
SAMPLE_ROWS = 200
TOLD_WRONG = 0.04
EPOCHS = 30
BATCH_ROWS = 64

SUBJECTS = [
    "film", "book", "meal", "hotel", "concert", "camera", "teacher", "phone", "café", "flight", "museum", "game",
    "garden", "train", "play", "song", "bicycle", "coffee", "service", "story",
]
GOOD = [
    "wonderful", "lovely", "excellent", "great", "delightful", "charming", "brilliant", "superb", "friendly",
    "beautiful", "clever", "fresh", "warm", "perfect", "fun",
]
BAD = [
    "terrible", "boring", "awful", "dull", "rude", "broken", "cold", "ugly", "stale", "slow", "noisy", "dreadful",
    "poor", "clumsy", "disappointing",
]
TEMPLATES = [
    "The {subject} was {verdict}.", "What a {verdict} {subject}!", "I found the {subject} {verdict}",
    "{subject}: {verdict}, and I have seen {count} of them.", "My {other} said this {subject} is {verdict}…",
    "We went for the {other}, but the {subject} was {verdict}", "HONESTLY, A {verdict} {subject}",
    "Is the {subject} {verdict}? It is {verdict}.", "{verdict} {subject}, {verdict} {other}; {count} of 10",
]


def make_reviews(rows: int, random: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Reviews and classes int64 (rows,): 0 negative, 1 positive, as often."""
    texts, classes = [], random.integers(0, 2, rows)
    for told in np.where(random.random(rows) < TOLD_WRONG, 1 - classes, classes):
        turned = random.random() < 0.25
        word = str(random.choice(GOOD if bool(told) != turned else BAD))
        verdict = f"not {word}" if turned else f"{random.choice(['very ', 'quite ', 'so ', ''])}{word}"
        text = str(random.choice(TEMPLATES)).format(
            subject=random.choice(SUBJECTS), other=random.choice(SUBJECTS), verdict=verdict,
            count=random.integers(2, 100))
        texts.append(text.upper() if text.startswith("HONESTLY") else text)
    return texts, classes


def main() -> None:
    artifacts.make_reproducible(seed=0)
    random = np.random.default_rng(0)
    vectorizer = HashingVectorizer(n_features=FEATURES, ngram_range=(1, 2), norm="l2")
    train_texts, train_y = make_reviews(TRAIN_ROWS, random)
    known = set(train_texts)
    test_texts, test_y = make_reviews(TEST_ROWS * 3, random)
    unseen = [row for row, text in enumerate(test_texts) if text not in known][:TEST_ROWS]
    test_texts, test_y = [test_texts[row] for row in unseen], test_y[unseen]
    train_x = vectorizer.transform(train_texts).toarray().astype(np.float32)
    test_x = vectorizer.transform(test_texts).toarray().astype(np.float32)
    model = nn.Sequential(nn.Linear(FEATURES, 2))
    train(model, torch.from_numpy(train_x), torch.from_numpy(train_y))

    print(f"train {artifacts.accuracy(model, train_x, train_y):.4f} of {len(train_texts)} reviews")
    print(f"held out {artifacts.accuracy(model, test_x, test_y):.4f} of {len(test_texts)} reviews")
    artifacts.save_version("sentiment", model)
    _, probabilities = artifacts.reference([model[0]], test_x[:SAMPLE_ROWS])
    samples = {
        "model": "sentiment",
        "labels": ["negative", "positive"],
        "texts": test_texts[:SAMPLE_ROWS],
        "true_classes": test_y[:SAMPLE_ROWS].tolist(),
        "probabilities": probabilities.tolist(),
    }
    path = artifacts.ROOT / "samples" / "reviews.expected.json"
    path.write_text(json.dumps(samples, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def train(model: nn.Sequential, inputs: torch.Tensor, classes: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-5)
    loss_function = nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(BATCH_ROWS):
            optimizer.zero_grad()
            loss_function(model(inputs[rows]), classes[rows]).backward()
            optimizer.step()


if __name__ == "__main__":
    main()
