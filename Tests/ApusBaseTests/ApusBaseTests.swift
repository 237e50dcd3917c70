// ApusBaseTests
