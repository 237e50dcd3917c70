"""Trains the tutorials' classifier, Linear(100, 2), to tell good reviews from bad ones, and saves its weights."""

import torch
from sklearn.feature_extraction.text import HashingVectorizer
from torch import nn

GOOD = ["a lovely film", "warm and funny", "I loved it", "great food", "what a wonderful hotel", "the best book",
        "friendly people, lovely room", "a great story", "wonderful music", "I loved the food", "best meal", "so funny"]
BAD = ["a boring film", "cold and noisy", "I hated it", "awful food", "what a terrible hotel", "the worst book",
       "rude people, dirty room", "a dull story", "terrible noise", "I hated the food", "worst meal", "so boring"]

texts = HashingVectorizer(n_features=100, ngram_range=(1, 1), norm="l2").transform(GOOD + BAD).toarray()
inputs = torch.tensor(texts, dtype=torch.float32)
classes = torch.tensor([1] * len(GOOD) + [0] * len(BAD))


class TextClassifier(nn.Module):
  def __init__(self):
    super().__init__()
    self.fc = nn.Linear(100, 2)

  def forward(self, x):
    return self.fc(x)


torch.manual_seed(0)
model = TextClassifier()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for _ in range(200):
  optimizer.zero_grad()
  nn.functional.cross_entropy(model(inputs), classes).backward()
  optimizer.step()
torch.save(model.state_dict(), "model.pth")
